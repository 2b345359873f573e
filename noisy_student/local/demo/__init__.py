"""The demo: real digits, one teacher and three students, over REST."""
