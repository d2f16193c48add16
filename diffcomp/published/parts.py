"""The parts of the published model, as prefixes of its parameters' paths."""

ENCODER = ("analysis",)
HYPER_ANALYSIS = ("hyper_analysis",)
MEDIANS = "medians"  # of z: they have a loss of their own
ENTROPY_MODEL = ("hyper_synthesis", "prior", MEDIANS)
CONTEXT = ("context_decoder",)
SCORE = ("score_network",)
# The context maps' part in the score network's convolutions, computed once per image.
CONTEXT_TERMS = tuple(
    f"score_network/downs_{i}/block0/{name}" for i in range(4) for name in ("conv1", "skip")
)

# What the integers of the coding part are derived from.
CODED = ENTROPY_MODEL
# What stays float32 when the networks compute in bfloat16.
FLOAT32 = (
    *HYPER_ANALYSIS,
    *ENTROPY_MODEL,
    "score_network/time_hidden",
    "score_network/time_out",
)
