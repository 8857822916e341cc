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

#include "kernels/tile.h"
#include "kernels/table.h"

#define TILE_U8_MAX_ROWS        2
#define TILE_U8_WIDE            0
#define TILE_U8_FEW             0
#define TILE_U8_VARIANTS(X, P)  X(1, P) X(2, P)

#include "kernels/integer.h"

PEAK(2)
PEAK_U8(2)
INTEGER_KERNELS(scalar, INFER_TILE_ROWS)
KERNELS(scalar, "scalar", scalar, INFER_TILE_ROWS)
