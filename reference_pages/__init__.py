"""Generates pages of the documentation site from the code: settings, run configuration, events, REST, commands.

`mkdocs.yml` names `reference_pages/hook.py`, which adds the pages while the site is built; none is in the repository.
To add a page, write a function that returns Markdown, and add a line to `hook.PAGES` and to the site's navigation.
"""
