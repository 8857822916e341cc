/*
 * Repetition for register tiles: accumulators are named variables made by
 * macros, since gcc keeps names in registers where it spills an array.
 */

#ifndef INFER_KERNELS_VARIANTS_H
#define INFER_KERNELS_VARIANTS_H


/* X(i, P) for rows i below R */
#define ROWS_1(X, P)   X(0, P)
#define ROWS_2(X, P)   ROWS_1(X, P) X(1, P)
#define ROWS_3(X, P)   ROWS_2(X, P) X(2, P)
#define ROWS_4(X, P)   ROWS_3(X, P) X(3, P)
#define ROWS_5(X, P)   ROWS_4(X, P) X(4, P)
#define ROWS_6(X, P)   ROWS_5(X, P) X(5, P)
#define ROWS_7(X, P)   ROWS_6(X, P) X(6, P)
#define ROWS_8(X, P)   ROWS_7(X, P) X(7, P)
#define ROWS_9(X, P)   ROWS_8(X, P) X(8, P)
#define ROWS_10(X, P)  ROWS_9(X, P) X(9, P)
#define ROWS_11(X, P)  ROWS_10(X, P) X(10, P)
#define ROWS_12(X, P)  ROWS_11(X, P) X(11, P)
#define ROWS_13(X, P)  ROWS_12(X, P) X(12, P)
#define ROWS_14(X, P)  ROWS_13(X, P) X(13, P)

/* X(r, P) for r = 1 .. rows */
#define HEIGHTS_1(X, P)   X(1, P)
#define HEIGHTS_2(X, P)   HEIGHTS_1(X, P) X(2, P)
#define HEIGHTS_3(X, P)   HEIGHTS_2(X, P) X(3, P)
#define HEIGHTS_6(X, P)   HEIGHTS_3(X, P) X(4, P) X(5, P) X(6, P)
#define HEIGHTS_9(X, P)   HEIGHTS_6(X, P) X(7, P) X(8, P) X(9, P)
#define HEIGHTS_14(X, P)  HEIGHTS_9(X, P) X(10, P) X(11, P) X(12, P)          \
                          X(13, P) X(14, P)

/* X(p, i) for panels p below P */
#define PANELS_1(X, i)  X(0, i)
#define PANELS_2(X, i)  PANELS_1(X, i) X(1, i)
#define PANELS_3(X, i)  PANELS_2(X, i) X(2, i)
#define PANELS_4(X, i)  PANELS_3(X, i) X(3, i)
#define PANELS_8(X, i)  PANELS_4(X, i) X(4, i) X(5, i) X(6, i) X(7, i)

/* Rows two at a time; an odd last one by itself. */
#define PAIRS_1(X)   X(0, 0)
#define PAIRS_2(X)   X(0, 1)
#define PAIRS_3(X)   PAIRS_2(X) X(2, 2)
#define PAIRS_4(X)   PAIRS_2(X) X(2, 3)
#define PAIRS_5(X)   PAIRS_4(X) X(4, 4)
#define PAIRS_6(X)   PAIRS_4(X) X(4, 5)
#define PAIRS_7(X)   PAIRS_6(X) X(6, 6)
#define PAIRS_8(X)   PAIRS_6(X) X(6, 7)
#define PAIRS_9(X)   PAIRS_8(X) X(8, 8)
#define PAIRS_10(X)  PAIRS_8(X) X(8, 9)
#define PAIRS_11(X)  PAIRS_10(X) X(10, 10)
#define PAIRS_12(X)  PAIRS_10(X) X(10, 11)
#define PAIRS_13(X)  PAIRS_12(X) X(12, 12)
#define PAIRS_14(X)  PAIRS_12(X) X(12, 13)

#endif /* INFER_KERNELS_VARIANTS_H */
