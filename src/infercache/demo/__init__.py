"""What `infercache demo` does: a language model and an image pipeline, without and with a cache."""
