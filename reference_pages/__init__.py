"""The documentation site's pages that are made of the code: settings, run configuration, events, REST, commands.

`mkdocs.yml` names `reference_pages/hook.py`, which adds them while the site is built; no page lies in the repository. A
further page is a function that returns Markdown and a line in `hook.PAGES` and in the site's navigation.
"""
