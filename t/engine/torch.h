/*
 * Archives as torch.jit.save writes them, made of a few texts: all stored,
 * in one folder, with right checksums.
 */

#ifndef T_TORCH_H
#define T_TORCH_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "infer.h"


#define ARCHIVE_MAX    ((size_t) 4 << 20)
#define ARCHIVE_FILES  320

typedef struct {
    const char  *name;
    const void  *data;
    size_t       size;
} archive_file_t;


static unsigned char  archive[ARCHIVE_MAX];
static size_t         archive_size;


static void
archive_put(uint64_t x, size_t bytes)
{
    for (size_t i = 0; i < bytes && archive_size < ARCHIVE_MAX; i++) {
        archive[archive_size++] = (unsigned char) (i < 8 ? x >> 8 * i : 0);
    }
}


static void
archive_bytes(const void *data, size_t size)
{
    if (size > ARCHIVE_MAX - archive_size) {
        abort();
    }

    memcpy(archive + archive_size, data, size);
    archive_size += size;
}


/* What local headers and the directory have in common. */
static void
archive_fields(const archive_file_t *f)
{
    archive_put(0, 2 + 2 + 2 + 2);          /* flags, stored, time, date */
    archive_put((uint32_t) crc32(0, f->data, (uInt) f->size), 4);
    archive_put((uint32_t) f->size, 4);
    archive_put((uint32_t) f->size, 4);
    archive_put((uint32_t) strlen(f->name) + 2, 2);
    archive_put(0, 2);
}


/* Files one after the other that have the same data share its place. */
static void
archive_make(const archive_file_t *file, size_t n)
{
    size_t  at[ARCHIVE_FILES], start;

    archive_size = 0;

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && file[i].data == file[i - 1].data) {
            at[i] = at[i - 1];
            continue;
        }

        at[i] = archive_size;
        archive_put(0x04034b50, 4);
        archive_put(20, 2);
        archive_fields(&file[i]);
        archive_bytes("m/", 2);
        archive_bytes(file[i].name, strlen(file[i].name));
        archive_bytes(file[i].data, file[i].size);
    }

    start = archive_size;

    for (size_t i = 0; i < n; i++) {
        archive_put(0x02014b50, 4);
        archive_put(20, 2);
        archive_put(20, 2);
        archive_fields(&file[i]);
        archive_put(0, 2 + 2);               /* comment, disk */
        archive_put(0, 2);
        archive_put(0, 4);
        archive_put((uint32_t) at[i], 4);
        archive_bytes("m/", 2);
        archive_bytes(file[i].name, strlen(file[i].name));
    }

    at[0] = archive_size - start;

    archive_put(0x06054b50, 4);
    archive_put(0, 2 + 2);
    archive_put((uint32_t) n, 2);
    archive_put((uint32_t) n, 2);
    archive_put((uint32_t) at[0], 4);
    archive_put((uint32_t) start, 4);
    archive_put(0, 2);
}


/* A module of one parameter, and code that has all statements. */
static const char  archive_pickle[] =
    "\x80\x02" "c__torch__\nM\n)\x81}("
    "X\6\0\0\0weight" "ctorch._utils\n_rebuild_tensor_v2\n("
    "(X\7\0\0\0storage" "ctorch\nFloatStorage\n"
    "X\1\0\0\0" "0" "X\3\0\0\0" "cpu" "K\4tQ" "K\0" "K\4\x85" "K\1\x85"
    "\x89" "ccollections\nOrderedDict\n)RtRq\1"
    "X\10\0\0\0training\x89"
    "X\5\0\0\0sizes](K\2K\2e"
    "ub.";

static const char  archive_constants[] = "\x80\x02)\x2e";

static const char  archive_code[] =
    "class M(Module):\n"
    "  __parameters__ = [\"weight\", ]\n"
    "  weight : Tensor\n"
    "  training : bool\n"
    "  scale : Final[float] = 2.5\n"
    "  def forward(self: __torch__.M,\n"
    "    x: Tensor) -> Tensor:\n"
    "    weight = self.weight\n"
    "    n = torch.size(x, 0)\n"
    "    if torch.ne(torch.dim(x), 2):\n"
    "      ops.prim.RaiseException(torch.format(\"{} and {}\", 1, [2]))\n"
    "    else:\n"
    "      pass\n"
    "    d = {\"a\": x, \"b\": weight}\n"
    "    y = annotate(List[Tensor], [])\n"
    "    for i in range(torch.len(d)):\n"
    "      _0 = torch.append(y, torch.add(x, d[\"b\"]))\n"
    "    i, z, = 0, (self).twice(x, )\n"
    "    _1 = torch.lt(i, 3)\n"
    "    while _1:\n"
    "      z0 = torch.add(z, torch.floordiv(i, -2))\n"
    "      i0 = torch.add(i, 1)\n"
    "      _1, i, z = torch.lt(i0, 3), i0, z0\n"
    "    s = torch.slice([1, 2, 3], 1, None, 1)\n"
    "    torch.sort(s)\n"
    "    _2 = torch.add_(z, 1)\n"
    "    w = torch.mul(torch.cat([z, y[-1]], 1), self.scale)\n"
    "    return torch.view(w, [n, torch.mul(torch.len(s), 4)])\n"
    "  def twice(self: __torch__.M,\n"
    "    x: Tensor,\n"
    "    y: Optional[Tensor]=None) -> Tensor:\n"
    "    if torch.__is__(y, None):\n"
    "      z = torch.mul(x, 2.)\n"
    "    else:\n"
    "      z = unchecked_cast(Tensor, y)\n"
    "    return z\n"
    "class Plain:\n"
    "  x : int\n";

static const float  archive_weight[4] = { 1, 2, 3, 4 };

/* Of a quantized convolution of two dimensions: stride, padding, dilation,
   output padding, groups, flags. */
static const int16_t  archive_config[11] = {
    2, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0
};


/* Both kinds of packed parameters; tensors of one scale and of one for each
   channel. */
#define STORAGE(type, key, n)                                                 \
    "(X\7\0\0\0storage" "ctorch\n" type "\nX\1\0\0\0" key                   \
    "X\3\0\0\0" "cpu" "K" n "tQ"

static const char  archive_quantized_pickle[] =
    "\x80\x02" "c__torch__\nM\n)\x81}("
    "X\4\0\0\0conv"
    "c__torch__.torch.classes.quantized\nConv2dPackedParamsBase\n)\x81"
    "(X\1\0\0\0" "2" "]("
    "ctorch._utils\n_rebuild_tensor_v2\n("
    STORAGE("ShortStorage", "1", "\13") "K\0" "K\13\x85" "K\1\x85"
    "\x89" "ccollections\nOrderedDict\n)RtR"
    "ctorch._utils\n_rebuild_qtensor\n("
    STORAGE("QInt8Storage", "0", "\20") "K\2" "(K\1K\1K\1K\1t"
    "(K\1K\1K\1K\1t"
    "(ctorch\nper_tensor_affine\nG\x3f\xc0\0\0\0\0\0\0K\0t"
    "\x89" "ccollections\nOrderedDict\n)RtR"
    "e](Netb"
    "X\6\0\0\0linear"
    "c__torch__.torch.classes.quantized\nLinearPackedParamsBase\n)\x81"
    "(ctorch._utils\n_rebuild_qtensor\n("
    STORAGE("QInt8Storage", "0", "\20") "K\0" "K\4K\4\x86" "K\4K\1\x86"
    "(ctorch\nper_channel_affine\n"
    "ctorch._utils\n_rebuild_tensor_v2\n("
    STORAGE("FloatStorage", "0", "\4") "K\0" "K\4\x85" "K\1\x85"
    "\x89" "ccollections\nOrderedDict\n)RtR"
    "ctorch._utils\n_rebuild_tensor_v2\n("
    STORAGE("CharStorage", "1", "\26") "K\5" "K\4\x85" "K\0\x85"
    "\x89" "ccollections\nOrderedDict\n)RtR"
    "K\0t\x89" "ccollections\nOrderedDict\n)RtR"
    "ctorch._utils\n_rebuild_tensor_v2\n("
    STORAGE("FloatStorage", "0", "\4") "K\0" "K\4\x85" "K\1\x85"
    "\x89" "ccollections\nOrderedDict\n)RtRtb"
    "ub.";

static const char  archive_quantized_code[] =
    "class M(Module):\n"
    "  conv : __torch__.torch.classes.quantized.Conv2dPackedParamsBase\n"
    "  linear : __torch__.torch.classes.quantized.LinearPackedParamsBase\n"
    "  def forward(self: __torch__.M,\n"
    "    x: Tensor) -> Tensor:\n"
    "    q = torch.quantize_per_tensor(x, 0.5, 10, 13)\n"
    "    q0 = torch.view(q, [-1, 1, 2, 2])\n"
    "    y = ops.quantized.conv2d_relu(q0, self.conv, 0.25, 3)\n"
    "    y0 = ops.quantized.add(y, torch.relu(q0), 0.5, 12)\n"
    "    y1 = ops.quantized.mul(ops.quantized.add(y0, 1.5), -2)\n"
    "    y2 = ops.quantized.cat([y1, torch.sigmoid(y0)], 1, 0.1, 5)\n"
    "    z = torch.flatten(torch.slice(y2, 1, 0, 1), 1)\n"
    "    z0 = ops.quantized.linear(z, self.linear, 0.5, 100)\n"
    "    z1 = torch.dequantize(z0)\n"
    "    return ops.quantized.linear_dynamic(z1, self.linear, True)\n";


/* The archive of these texts, the weights beside them. */
static void
archive_model(const void *pickle, size_t pickle_size, const void *constants,
    size_t constants_size, const void *code, size_t code_size)
{
    archive_file_t  file[] = {
        { "data/0", archive_weight, sizeof(archive_weight) },
        { "data/1", archive_config, sizeof(archive_config) },
        { "data.pkl", pickle, pickle_size },
        { "code/__torch__.py", code, code_size },
        { "constants.pkl", constants, constants_size },
        { "version", "3\n", 2 }
    };

    archive_make(file, sizeof(file) / sizeof(file[0]));
}


/* Opens an archive for inputs of a shape (NULL: that of the archive); NULL
   with the error. */
static infer_graph_t *
archive_open_as(const void *data, size_t size,
    const infer_input_shape_t *shape, infer_error_t *err)
{
    int                   fd = memfd_create("torch", 0);
    char                  path[64];
    infer_graph_t        *g;
    infer_load_options_t  options = { .shapes = shape,
                                    .n_shapes = shape != NULL };

    if (write(fd, data, size) != (ssize_t) size) {
        abort();
    }

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    g = infer_graph_open(path, &options, err);
    close(fd);

    return g;
}


/* The same for x of (N, 4). */
static inline infer_graph_t *
archive_open(const void *data, size_t size, infer_error_t *err)
{
    static const infer_input_shape_t  shape = { "", 2, { INFER_BATCH, 4 } };

    return archive_open_as(data, size, &shape, err);
}

#endif /* T_TORCH_H */
