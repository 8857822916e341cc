/*
 * Element types: their names and sizes.
 */

#include "infer.h"


static const struct {
    const char  *name;
    size_t       size;
} dtypes[INFER_DTYPES] = {
    { "float32", 4 },
    { "float64", 8 },
    { "float16", 2 },
    { "bfloat16", 2 },
    { "int8", 1 },
    { "uint8", 1 },
    { "int16", 2 },
    { "uint16", 2 },
    { "int32", 4 },
    { "uint32", 4 },
    { "int64", 8 },
    { "uint64", 8 },
    { "bool", 1 }
};


size_t
infer_dtype_size(infer_dtype_t dtype)
{
    return (unsigned) dtype < INFER_DTYPES ? dtypes[dtype].size : 0;
}


const char *
infer_dtype_name(infer_dtype_t dtype)
{
    return (unsigned) dtype < INFER_DTYPES ? dtypes[dtype].name : "unknown";
}
