/*
 * The kernels in plain C, for any CPU: the reference of all others.
 */

#include "kernels/kernels.h"
#include "kernels/vec_scalar.h"
#include "kernels/vec_math.h"
#include "kernels/rows.h"

#define TILE_MAX_ROWS        2
#define TILE_WIDE            0
#define TILE_FEW             0
#define TILE_VARIANTS(X, P)  X(1, P) X(2, P)

#define DEPTHWISE_MAX        1
#define DEPTHWISE_VARIANTS(X, K, S, LOAD)  X(1, K, S, LOAD)

#include "kernels/tile.h"
#include "kernels/depthwise.h"
#include "kernels/table.h"

PEAK(2)
KERNELS(scalar, INFER_TILE_ROWS)
