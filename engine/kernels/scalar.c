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

PEAK(2)
KERNELS(scalar)
