"""The API's answers about pseudo labels, and about what people say of them."""
