"""What the columns of rows and summaries are called, and what their figures mean."""
