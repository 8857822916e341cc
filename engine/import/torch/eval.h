/*
 * Evaluation: code is run once, with numbers, strings, lists and control flow
 * as they are, and with tensors that are values of the graph.
 *
 * An integer may follow the batch size.  Where a decision depends on it, the
 * code is evaluated for a batch of 1.
 */

#ifndef INFER_TORCH_EVAL_H
#define INFER_TORCH_EVAL_H

#include "import/torch/syntax.h"


/* Bounds on a run: statements and expressions, and calls within calls. */
#define TORCH_MAX_STEPS   ((size_t) 1 << 22)
#define TORCH_MAX_CALLS   100
#define TORCH_MAX_NESTED  400     /* blocks and expressions, of all calls */
#define TORCH_MAX_VALUES  ((size_t) 1 << 16)  /* of the graph */

#define TORCH_MAX_ARGS    64


/* "__torch__.model.Net" or "__torch__.torch.nn.functional.relu" */
typedef struct {
    const char          *name;
    const torch_node_t  *node;    /* a SYNTAX_CLASS or SYNTAX_FUNCTION */
    const char          *file;
} torch_definition_t;

typedef struct {
    infer_graph_t       *g;
    torch_zip_t         *zip;
    torch_definition_t  *definition;  /* sorted by name */
    size_t               n_definitions;
    torch_value_t       *constants;   /* a tuple: CONSTANTS.c0, .. */
    torch_value_t       *model;       /* an object */
    infer_op_count_t    *count;       /* operators called, sorted by name */
    size_t               n_counts;
    size_t               count_space;

    const char          *file;        /* what is being evaluated */
    int                  line;
    char                 place[160];  /* "FILE:LINE": the name of nodes */
    size_t               steps;
    int                  calls;
    int                  nested;
    int                  within;      /* an operator that is made of others,
                                         which are not counted, and whose
                                         place is theirs */
    torch_node_t       **composed;    /* composed.c, once it is parsed */
    unsigned char        integers[TORCH_MAX_ARGS];  /* inputs that are */
    int                  recast;      /* it failed for want of one of them */
    int                  trained;     /* a module was saved in training mode */
    int                  batched;     /* an input follows the batch */
    int                  choosing;    /* within both sides of a decision that
                                         depends on data */
    int                  chosen;      /* there was one */
    int                  follows;     /* a decision followed the batch: */
    char                 why[160];    /* where */
} torch_eval_t;


/* The local names of a call. */
typedef struct {
    torch_eval_t    *t;
    torch_object_t   names;
    torch_value_t   *result;      /* of return */
} torch_frame_t;

/* The arguments of a call, and the names of those given by keyword. */
typedef struct {
    torch_value_t   *value[TORCH_MAX_ARGS];
    const char      *name[TORCH_MAX_ARGS];
    size_t           n;
} torch_args_t;


/*
 * What a builtin is given: its arguments in the order of its parameters, NULL
 * where one was left out.
 *
 * Several entries may have the same name: they are the overloads of an
 * operator, of other parameters or other kinds of arguments.  The first is
 * called whose parameters take all that is given, and that does not return
 * TORCH_DECLINE for what it is not meant for: torch.add of two numbers is in
 * core.c and declines tensors, for which there is another.
 *
 * A tensor that is given is no stale one (see torch_memory_t), nor is one in a
 * list that is given.  What an operator returns is
 *     torch_tensor(g, y)        a new tensor
 *     torch_view(g, arg[0], y)  a view of arg[0]
 *     torch_write(t, arg[0], y) arg[0], changed in place: relu_, add_, copy_
 *     arg[0]                    itself: contiguous, dropout
 */
typedef torch_value_t *(*torch_builtin_fn)(torch_eval_t *t,
    torch_value_t *const *arg);

typedef struct {
    const char        *name;      /* as in code: "torch.relu" */
    const char        *parameters;/* "self other alpha": names, by spaces */
    torch_builtin_fn   fn;
} torch_builtin_t;

/* A builtin that is one of a family: family(t, arg, kind). */
#define TORCH_KIND(fn, family, kind)                                         \
    static torch_value_t *                                                   \
    fn(torch_eval_t *t, torch_value_t *const *arg)                           \
    {                                                                        \
        return family(t, arg, kind);                                         \
    }

extern torch_value_t  torch_declined;

#define TORCH_DECLINE  (&torch_declined)

/* A decision is made for a batch of 1, and may be another for others. */
void torch_follow(torch_eval_t *t);

/*
 * The argument "training" of an operator: 0 where it is false.  Where it is
 * true the model was traced in training mode, which is refused: code of a
 * scripted one asks the module, which says that it does not train.
 */
int torch_check_training(torch_eval_t *t, const torch_value_t *training);

/* Refuses a tensor whose memory was changed through another view of it. */
int torch_check_fresh(torch_eval_t *t, const torch_value_t *v);

/*
 * Changes a tensor in place: v holds y now, for all who hold v.  Returns v,
 * or NULL where the tensor is a parameter or buffer of the model.
 */
torch_value_t *torch_write(torch_eval_t *t, torch_value_t *v,
    infer_value_t *y);


/* Parses all code of the archive. */
int torch_eval_init(torch_eval_t *t, infer_graph_t *g, torch_zip_t *zip);

/*
 * Empties the graph, and reads the model and the constants: before each
 * evaluation, since code may change what it is given.
 */
int torch_eval_start(torch_eval_t *t);

/*
 * Hands the outputs to the graph: a tensor "output", items of a tuple or list
 * "output_0", .., values of a dict and fields of a NamedTuple by their names.
 */
int torch_import_outputs(torch_eval_t *t, torch_value_t *result);

/* These return NULL where there is none; no error is set. */
const torch_definition_t *torch_find_definition(const torch_eval_t *t,
    const char *name);
const torch_definition_t *torch_find_method(const torch_eval_t *t,
    const torch_object_t *object, const char *name,
    const torch_node_t **method);
const torch_node_t *torch_find_member(const torch_node_t *class,
    torch_syntax_t kind, const char *name);

/* The name of field i of a NamedTuple; NULL for other tuples. */
const char *torch_field_name(const torch_eval_t *t, const torch_value_t *tuple,
    size_t i);

/* Calls a method of an object; args: without self. */
torch_value_t *torch_call_method(torch_eval_t *t, torch_value_t *object,
    const char *name, const torch_args_t *args);

/* Calls a function or class of the archive, or a builtin. */
torch_value_t *torch_call_named(torch_eval_t *t, const char *name,
    const torch_args_t *args);

/* The function that makes an operator, "torch.topk", of others; or NULL. */
const torch_node_t *torch_find_composed(torch_eval_t *t, const char *name);

/* Runs statements: 0, 1 after a return, or -1. */
int torch_run_block(torch_frame_t *frame, const torch_node_t *block);

torch_value_t *torch_eval(torch_frame_t *frame, const torch_node_t *n);

/* ---- decisions that depend on the data of a tensor: choice.c ---------- */

/*
 * What bool() gives of a tensor that is not constant: one of a boolean without
 * dimensions.  NULL with the error where it may not be decided by.
 */
torch_value_t *torch_bool_of(torch_eval_t *t, const torch_value_t *v);

/* Both sides of an if; condition: such a tensor.  0 or -1. */
int torch_run_both(torch_frame_t *frame, const torch_node_t *n,
    const torch_value_t *condition);

/* Refuses what is more than an assignment to a local name on such a side. */
int torch_check_effect(torch_eval_t *t);

/* Whether a builtin changes its first argument, a list or dict. */
int torch_is_effect(const char *name, const torch_value_t *first);

/*
 * What may call itself in turn begins with this, 0 or -1, and ends with
 * t->nested--.
 */
int torch_enter(torch_eval_t *t);

/* "PATH: FILE:LINE: message"; always -1. */
int torch_fail(torch_eval_t *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Whether a value counts as true: 1, 0, or -1 with the error set (a tensor, or
 * a number that follows the batch).
 */
int torch_truth(torch_eval_t *t, const torch_value_t *v);

/*
 * The number that a tensor of one element holds; NULL, with the error set,
 * where it is not known before a request is.
 */
torch_value_t *torch_item(torch_eval_t *t, const torch_value_t *v);

/* The builtins, by files. */
extern const torch_builtin_t  torch_builtins_core[];      /* core.c */
extern const torch_builtin_t  torch_builtins_number[];    /* number.c */
extern const torch_builtin_t  torch_builtins_sequence[];  /* sequence.c */
extern const torch_builtin_t  torch_builtins_list[];      /* list.c */
extern const torch_builtin_t  torch_builtins_dict[];      /* dict.c */
extern const torch_builtin_t  torch_builtins_unary[];     /* aten_*.c */
extern const torch_builtin_t  torch_builtins_elementwise[];
extern const torch_builtin_t  torch_builtins_window[];
extern const torch_builtin_t  torch_builtins_norm[];
extern const torch_builtin_t  torch_builtins_reduce[];
extern const torch_builtin_t  torch_builtins_matmul[];
extern const torch_builtin_t  torch_builtins_attention[];
extern const torch_builtin_t  torch_builtins_einsum[];
extern const torch_builtin_t  torch_builtins_gather[];
extern const torch_builtin_t  torch_builtins_shape[];
extern const torch_builtin_t  torch_builtins_slice[];
extern const torch_builtin_t  torch_builtins_create[];
extern const torch_builtin_t  torch_builtins_resize[];
extern const torch_builtin_t  torch_builtins_rnn[];
extern const torch_builtin_t  torch_builtins_quantize[];
extern const torch_builtin_t  torch_builtins_quantized[];
extern const torch_builtin_t  torch_builtins_packed[];

#endif /* INFER_TORCH_EVAL_H */
