"""One level of the cache each, and the chain that connects them."""
