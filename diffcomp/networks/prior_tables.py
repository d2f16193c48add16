"""CDF tables of z from a trained prior, for every family of networks.

Made once, when a model is exported: another machine's floats could round otherwise.
"""

import jax.numpy as jnp
import numpy as np

from diffcomp.coding import cdf_tables
from diffcomp.networks.entropy_models import FactorizedPrior
from diffcomp.params import Params

PRIOR_TAIL = 2.0**-12  # probability of z beyond its table, left to the escape code
PRIOR_REACH = 128  # tables of z end here at the latest


def prior_tables(params: Params, prefix: str, medians: np.ndarray) -> cdf_tables.CdfTables:
    """One table per channel of z, of the integers that are not in the tails; these escape.

    A symbol stands for the value of z at that distance from the channel's median, medians [D].
    """
    variables = {p.removeprefix(prefix): v for p, v in params.items() if p.startswith(prefix)}
    reach = jnp.arange(-PRIOR_REACH, PRIOR_REACH + 1, dtype=jnp.float32)
    z = reach[:, None] + jnp.asarray(medians, jnp.float32)[None]
    bits = FactorizedPrior(len(medians)).apply({"params": variables}, z)
    probabilities = np.exp2(-np.asarray(bits, np.float64)).T
    pmfs, offsets = [], []
    for p in probabilities:
        below = np.cumsum(p) <= PRIOR_TAIL / 2
        above = np.cumsum(p[::-1])[::-1] <= PRIOR_TAIL / 2
        pmfs.append(p[~(below | above)])
        offsets.append(int(below.sum()) - PRIOR_REACH)
    return cdf_tables.tables_from_pmfs(pmfs, offsets)
