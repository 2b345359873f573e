"""Access to the web page: sessions in a cookie, and links that log in once."""
