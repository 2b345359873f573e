"""The headers of all pages: above all, what their scripts may load and do."""

PAGE_HEADERS = {
    # The page loads and runs nothing from other sites, and no inline script.
    "Content-Security-Policy": "default-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # not `no-referrer`: forms would be sent with `Origin: null`
    "Cache-Control": "no-cache",
}
