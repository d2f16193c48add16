"""The parts of the base model, as prefixes of its parameters' paths.

Code and configurations that name parameters take the names from here.
"""

# The linear transforms around y: the Karhunen-Loeve basis and the mean patch.
LINEAR = (
    "hyperprior/analysis/basis",
    "hyperprior/analysis/offset",
    "context_decoder/basis",
    "context_decoder/offset",
)
# The rest of the analysis transform, and its embedding of the quality.
ENCODER = ("hyperprior/analysis/residual", "hyperprior/conditioning")
HYPER_ANALYSIS = ("hyperprior/hyper_analysis",)
ENTROPY_MODEL = ("hyperprior/parameters", "hyperprior/prior")
GAIN = ("hyperprior/log2_gain",)
# The rest of the context decoder, and its embedding of the quality.
CONTEXT = ("context_decoder/residual", "context_conditioning")
SCORE = ("score_network", "score_conditioning")

# What the integers of the coding part are derived from.
CODED = ENTROPY_MODEL + GAIN
# The layers of which only the integers are kept, each a sub-tree: "convs_NAME".
CODED_LAYERS = "hyperprior/parameters/convs_"
# How the paths begin of all that the steps of y hang on: what makes z, the gains, and the layers
# that see z alone.
STEPS = HYPER_ANALYSIS + GAIN + tuple(CODED_LAYERS + name for name in ("up", "features", "step"))
# What its networks are told of the quality, at knots, and of the pass.
BY_QUALITY, BY_PASS = "hyperprior/parameters/by_quality", "hyperprior/parameters/by_pass"
# What stays float32 when the networks compute in bfloat16.
FLOAT32 = LINEAR + HYPER_ANALYSIS + CODED
