/*
 * TorchScript: what torch.jit.save wrote, read without Python.
 *
 * An archive (zip.c) holds data.pkl, the object tree with its tensors
 * (pickle.c, tensor.c); constants.pkl, the tensors that the code refers to;
 * and code/..py, a small and regular subset of Python (lexer.c, parser.c).
 * The code is evaluated once, with concrete numbers and control flow and with
 * tensors that are values of a graph (eval.c): each call of an operator
 * appends nodes.  A class name in a pickle selects a class that was parsed;
 * nothing is looked up anywhere else, and nothing is run.
 *
 * All that is made here lives in the graph's memory.  Functions that can fail
 * return -1 or NULL with the graph's error set.
 */

#ifndef INFER_TORCH_H
#define INFER_TORCH_H

#include "graph/graph.h"


/* Bounds on what an archive may ask for. */
#define TORCH_MAX_TEXT    ((size_t) 16 << 20)    /* of code and pickles */
#define TORCH_MAX_ITEMS   ((size_t) 1 << 21)     /* values, or nodes */
#define TORCH_MAX_ATTRS   ((size_t) 1 << 14)     /* of an object */
#define TORCH_MAX_DEPTH   200                    /* of nesting */


/* ---- the archive ------------------------------------------------------ */

typedef struct {
    const char  *name;            /* behind the archive's first folder */
    size_t       name_len;
    uint64_t     header;          /* offset of the local header */
    uint64_t     packed;          /* bytes in the archive */
    uint64_t     size;            /* bytes unpacked */
    uint32_t     crc;
    int          deflated;
} torch_entry_t;

typedef struct {
    const unsigned char  *map;
    size_t                size;
    torch_entry_t        *entry;  /* sorted by name */
    size_t                n_entries;
    size_t                text;   /* bytes unpacked so far */
} torch_zip_t;

/* Reads the directory of the archive that is mapped at g->map. */
int torch_zip_open(infer_graph_t *g, torch_zip_t *zip);

/* NULL where there is none; no error is set. */
const torch_entry_t *torch_zip_find(const torch_zip_t *zip, const char *name);

/* The bytes of a stored entry where they lie in the archive. */
const void *torch_zip_stored(infer_graph_t *g, const torch_zip_t *zip,
    const torch_entry_t *entry);

/*
 * The bytes of a stored or deflated entry, held against its checksum; for
 * code and pickles, which are at most TORCH_MAX_TEXT in all.
 */
const void *torch_zip_text(infer_graph_t *g, torch_zip_t *zip,
    const torch_entry_t *entry);


/* ---- values ----------------------------------------------------------- */

typedef struct torch_value_s  torch_value_t;
typedef struct torch_class_s  torch_class_t;

typedef enum {
    TORCH_NONE = 0,
    TORCH_BOOL,
    TORCH_INT,
    TORCH_FLOAT,
    TORCH_STRING,
    TORCH_LIST,
    TORCH_TUPLE,
    TORCH_DICT,
    TORCH_TENSOR,
    TORCH_OBJECT,
    TORCH_GLOBAL,                 /* a name, while a pickle is read */
    TORCH_STORAGE                 /* a tensor's memory, likewise */
} torch_kind_t;

/* Items of lists and tuples; of dicts: key, value, key, value, ... */
typedef struct {
    torch_value_t  **item;
    size_t           n;
    size_t           space;
} torch_items_t;

/* A name and what it stands for: an object's attributes. */
typedef struct {
    const char     *name;
    torch_value_t  *value;
} torch_attr_t;

typedef struct {
    const char     *class_name;   /* "__torch__.model.Net" */
    torch_attr_t   *attr;
    size_t          n;
    size_t          space;
    torch_value_t  *state;        /* what BUILD gave, where no dict: for
                                     __setstate__ */
} torch_object_t;

typedef struct {
    infer_dtype_t  dtype;
    const void    *data;
    uint64_t       n;             /* elements */
} torch_storage_t;

/*
 * The memory that a tensor shares with its views.  A write into one of them
 * gives that one a new value of the graph; the others hold old ones, as their
 * version tells.
 */
typedef struct {
    uint64_t  version;
    int       state;              /* it belongs to the model: not written */
} torch_memory_t;

/* What a view takes of a tensor: a range of a dimension, or one element of
   it, the dimension then being gone. */
typedef struct {
    torch_value_t  *base;
    int             axis;
    infer_dim_t     start;
    infer_dim_t     count;
} torch_part_t;

/* What a quantized tensor's elements are: (q - zero) * scale. */
typedef struct {
    infer_value_t  *scale;        /* f32, constant: one number */
    infer_value_t  *zero;         /* the same, u8 or i8: the dtype of q */
} torch_quantizer_t;

/*
 * Lists, dicts, objects and tensors are shared by all who hold the value, as
 * in Python; the rest never changes.
 */
struct torch_value_s {
    torch_kind_t  kind;
    int           saved;          /* object, list, dict: of the archive */

    union {
        struct {
            int64_t       i;      /* bool: 0 or 1 */
            int64_t       batch;  /* int: i + batch * B, B the batch size */
        };
        double            f;
        struct {
            const char   *s;      /* ends with a 0, too */
            size_t        len;
        }                 string; /* global: "module name" with a dot */
        struct {
            torch_items_t     items;
            const char       *class_name;  /* of a NamedTuple, a tuple */
        };
        torch_object_t   *object;
        torch_storage_t  *storage;
        struct {
            infer_value_t   *tensor;
            torch_memory_t  *memory;  /* NULL: nobody shares it */
            uint64_t         version;
            torch_part_t    *part;    /* of another tensor, or NULL */
            const torch_quantizer_t
                            *quantizer;  /* it is quantized: `tensor` holds
                                            what its integers mean */
        };
    };
};

torch_value_t *torch_new(infer_graph_t *g, torch_kind_t kind);
torch_value_t *torch_string(infer_graph_t *g, const char *s, size_t len);
torch_value_t *torch_int(infer_graph_t *g, int64_t i);
torch_value_t *torch_float(infer_graph_t *g, double f);
torch_value_t *torch_bool(infer_graph_t *g, int b);
torch_value_t *torch_tensor(infer_graph_t *g, infer_value_t *tensor);

/*
 * A tensor that shares the memory of base, as view(), select(), permute() or a
 * slice make it: what may or may not be a copy (reshape()) is taken for one.
 */
torch_value_t *torch_view(infer_graph_t *g, torch_value_t *base,
    infer_value_t *tensor);

/* Appends to a list, tuple or dict. */
int torch_append(infer_graph_t *g, torch_value_t *to, torch_value_t *item);

/* The attribute of an object, NULL where it has none of that name. */
torch_value_t *torch_attr(const torch_object_t *object, const char *name);

/* Sets an attribute, or replaces it. */
int torch_set_attr(infer_graph_t *g, torch_object_t *object,
    const char *name, torch_value_t *value);

/* "int", "Tensor", ...: for messages. */
const char *torch_kind_name(torch_kind_t kind);


/* ---- the pickle ------------------------------------------------------- */

/*
 * Reads a pickle of the archive ("data.pkl"); the storages that it names lie
 * in folder ("data/").  Without a folder (NULL) its tensors have dtype and
 * shape, but no data.
 */
torch_value_t *torch_unpickle(infer_graph_t *g, torch_zip_t *zip,
    const char *name, const char *folder);

/*
 * The storage that a pickle refers to by id, ("storage", type, key, device,
 * elements): the memory of the archive's entry "FOLDERkey", or none.
 */
torch_value_t *torch_load_storage(infer_graph_t *g, const torch_zip_t *zip,
    const char *folder, const torch_value_t *id);

/*
 * torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, ..) and
 * _rebuild_qtensor(.., quantizer, ..): a constant of the graph; the quantized
 * one is dequantized and keeps its integers (infer_value_t's quantized), with
 * a quantizer where it has one scale.
 * args is the tuple.  The elements of floats count as parameters.
 */
torch_value_t *torch_rebuild_tensor(infer_graph_t *g,
    const torch_value_t *args);
torch_value_t *torch_rebuild_qtensor(infer_graph_t *g,
    const torch_value_t *args);

#endif /* INFER_TORCH_H */
