"""How likely cells of flat areas repeat their neighbours: the tables of `flat_areas`.

Which table codes a cell depends on how far its four neighbours are, whether they lie diagonally,
and how they agree: a class. `launch/count_flat_areas.py` counted them on collages.
"""

import functools

import numpy as np

from diffcomp.coding.cdf_tables import PRECISION, CdfTables

CANDIDATES = 4  # numbers that a cell's neighbours suggest; then comes the escape
LEVELS = 3  # of distance: one cell, two, more
CLASSES = 12
START_TABLE = 2 * LEVELS * CLASSES  # of the cells that come first

# The class of four neighbours, by which three pairs of them are equal, in ascending order, as bits;
# whether the lowest is 0, no area; whether the first two, which face each other, are equal.
CLASS_OF = np.array(
    [
        [(11, 11), (10, 10)],  # none
        [(11, 11), (10, 10)],  # the highest two
        [(11, 11), (10, 10)],  # the middle two
        [(4, 4), (3, 3)],  # all but the lowest
        [(11, 11), (9, 9)],  # the lowest two
        [(8, 7), (6, 5)],  # two and two
        [(4, 4), (2, 2)],  # all but the highest
        [(1, 1), (0, 0)],  # all
    ]
)
COUNTS = (
    (65532, 1, 1, 1, 1),
    (65283, 250, 1, 1, 1),
    (55631, 9902, 1, 1, 1),
    (59618, 5915, 1, 1, 1),
    (10433, 2127, 52774, 101, 101),
    (58673, 6797, 22, 22, 22),
    (25729, 39804, 1, 1, 1),
    (13108, 13107, 13107, 13107, 13107),
    (3593, 1646, 60291, 3, 3),
    (64949, 231, 348, 4, 4),
    (3557, 61707, 266, 3, 3),
    (1680, 560, 560, 62176, 560),
    (64675, 1, 1, 1, 858),
    (64850, 683, 1, 1, 1),
    (51046, 14337, 1, 1, 151),
    (55933, 9577, 1, 1, 24),
    (52201, 2544, 10771, 10, 10),
    (34942, 30558, 12, 12, 12),
    (25587, 39874, 1, 1, 73),
    (7282, 7282, 36408, 7282, 7282),
    (18514, 17499, 29517, 3, 3),
    (51047, 6190, 8287, 6, 6),
    (31746, 30292, 3389, 99, 10),
    (12476, 5211, 5211, 42164, 474),
    (61657, 1, 1, 1, 3876),
    (62507, 2694, 1, 1, 333),
    (44855, 16361, 2, 2, 4316),
    (48865, 14671, 2, 2, 1996),
    (42827, 10500, 10751, 7, 1451),
    (29499, 33844, 21, 21, 2151),
    (26106, 36220, 2, 2, 3206),
    (17413, 33876, 12980, 317, 950),
    (24425, 19989, 18724, 6, 2392),
    (35159, 13606, 12706, 7, 4058),
    (30292, 22597, 9467, 737, 2443),
    (22436, 11297, 7310, 21234, 3259),
    (65532, 1, 1, 1, 1),
    (65532, 1, 1, 1, 1),
    (65532, 1, 1, 1, 1),
    (65196, 337, 1, 1, 1),
    (65472, 16, 16, 16, 16),
    (65528, 2, 2, 2, 2),
    (28169, 37364, 1, 1, 1),
    (13108, 13107, 13107, 13107, 13107),
    (18626, 2070, 43460, 690, 690),
    (65532, 1, 1, 1, 1),
    (9684, 55771, 27, 27, 27),
    (13108, 13107, 13107, 13107, 13107),
    (65500, 1, 1, 1, 33),
    (65511, 22, 1, 1, 1),
    (62559, 2974, 1, 1, 1),
    (63269, 2264, 1, 1, 1),
    (65070, 3, 457, 3, 3),
    (51314, 14213, 3, 3, 3),
    (23901, 41632, 1, 1, 1),
    (28087, 9363, 9362, 9362, 9362),
    (3181, 2032, 60295, 14, 14),
    (64691, 255, 584, 3, 3),
    (31652, 33817, 55, 9, 3),
    (57400, 452, 452, 6780, 452),
    (64410, 1, 1, 1, 1123),
    (65089, 426, 1, 1, 19),
    (53940, 10003, 1, 1, 1591),
    (57957, 7306, 1, 1, 271),
    (60595, 1424, 3410, 3, 104),
    (40393, 24199, 3, 3, 938),
    (28213, 36388, 1, 1, 933),
    (36830, 21878, 6329, 50, 449),
    (21311, 17876, 26052, 9, 288),
    (45375, 8341, 10510, 3, 1307),
    (37337, 20712, 5848, 866, 773),
    (39972, 5351, 6651, 12024, 1538),
    (23735, 31212, 5238, 1940, 3411),
)


def first_table(distance: int, diagonal: bool) -> int:
    """Where the tables begin of cells whose neighbours are so far, in cells: a power of two."""
    level = min(distance.bit_length(), LEVELS) - 1
    return CLASSES * (level + (0 if diagonal else LEVELS))


@functools.cache
def tables() -> CdfTables:
    """All of them, each with its escape."""
    lookup = [[PRECISION, 0, *np.cumsum(counts)] for counts in COUNTS]
    return CdfTables(np.concatenate(lookup).astype(np.int32), np.zeros(len(COUNTS), np.int32))
