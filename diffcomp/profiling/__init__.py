"""Where time goes: multiply-adds by layer, a stopwatch, and a training step taken to parts."""
