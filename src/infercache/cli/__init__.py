"""The command `infercache`: one file a command, `main` to start them."""
