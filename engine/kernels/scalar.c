/*
 * The kernels in plain C, for any CPU: the reference of all others.
 */

#include "kernels/kernels.h"
#include "kernels/vec_scalar.h"
#include "kernels/vec_math.h"
#include "kernels/rows.h"

#define TILE_PANELS   1
#define TILES_1(X)    HEIGHTS_2(X, 1)
#define TILES_2(X)
#define TILES_3(X)
#define TILES_4(X)
#define TILES_8(X)

#define DEPTHWISE_MAX        1
#define DEPTHWISE_VARIANTS(X, K, S, LOAD)  X(1, K, S, LOAD)

#include "kernels/tile.h"
#include "kernels/depthwise.h"
#include "kernels/table.h"

#define TILE_U8_MAX_ROWS        2
#define TILE_U8_WIDE            0
#define TILE_U8_FEW             0
#define TILE_U8_VARIANTS(X, P)  X(1, P) X(2, P)

#include "kernels/integer.h"

PEAK(2)
PEAK_U8(2)
INTEGER_KERNELS(scalar, TILE_U8_MAX_ROWS)
KERNELS(scalar, "scalar", scalar)
