"""Training images: where they come from, which crops are cut from them, batches of these."""
