/*
 * The pickle machine: protocol 2 as torch's Pickler writes it.  A stack of
 * values, a stack of marks, a memo; no opcode that could run anything: GLOBAL
 * only makes a name, and REDUCE knows the few names that it builds from.
 *
 * Opcodes: CPython's Lib/pickletools.py.
 */

#include <stdlib.h>
#include <string.h>

#include "import/torch/torch.h"


typedef struct {
    infer_graph_t        *g;
    torch_zip_t          *zip;
    const char           *name;       /* of the pickle, for messages */
    const char           *folder;
    const unsigned char  *pos;
    const unsigned char  *end;

    torch_value_t       **stack;
    size_t                n;
    size_t                space;
    size_t                mark[TORCH_MAX_DEPTH];
    int                   n_marks;
    torch_value_t       **memo;
    size_t                memo_space;
    size_t                made;       /* values so far */
} machine_t;


static torch_value_t *run(machine_t *m);
static int step(machine_t *m, int op);
static int step_number(machine_t *m, int op);
static int step_items(machine_t *m, int op);
static int step_memo(machine_t *m, int op);
static int fail(machine_t *m, const char *why);
static const unsigned char *take(machine_t *m, size_t n);
static uint32_t little(const unsigned char *p, size_t n);
static int push(machine_t *m, torch_value_t *v);
static torch_value_t *pop(machine_t *m);
static int push_new(machine_t *m, torch_kind_t kind);
static int push_long(machine_t *m);
static int push_float(machine_t *m);
static int push_string(machine_t *m, size_t len);
static int push_global(machine_t *m);
static int pop_mark(machine_t *m, size_t *first);
static int make_tuple(machine_t *m, size_t first);
static int set_items(machine_t *m, size_t first);
static int append_items(machine_t *m, size_t first);
static int memo_put(machine_t *m, size_t i);
static int new_object(machine_t *m);
static int build(machine_t *m);
static int reduce(machine_t *m);
static torch_value_t *call(machine_t *m, const char *name,
    torch_value_t *args);
static int load_storage(machine_t *m);


torch_value_t *
torch_unpickle(infer_graph_t *g, torch_zip_t *zip, const char *name,
    const char *folder)
{
    machine_t             m;
    torch_value_t        *v;
    const torch_entry_t  *entry;

    entry = torch_zip_find(zip, name);

    if (entry == NULL) {
        infer_graph_fail(g, "the archive has no %s", name);
        return NULL;
    }

    memset(&m, 0, sizeof(m));

    m.g = g;
    m.zip = zip;
    m.name = name;
    m.folder = folder;
    m.pos = torch_zip_text(g, zip, entry);

    if (m.pos == NULL) {
        return NULL;
    }

    m.end = m.pos + entry->size;

    v = run(&m);

    free(m.stack);
    free(m.memo);

    return v;
}


static torch_value_t *
run(machine_t *m)
{
    int  op;

    while (m->pos < m->end) {
        op = *m->pos++;

        if (op == '.') {
            return pop(m);
        }

        if (step(m, op) != 0) {
            return NULL;
        }
    }

    fail(m, "has no end");

    return NULL;
}


static int
step(machine_t *m, int op)
{
    size_t                first = 0;
    const unsigned char  *p;

    switch (op) {

    case 0x80:                                              /* PROTO */
        return take(m, 1) != NULL ? 0 : -1;

    case '(':                                               /* MARK */
        if (m->n_marks == TORCH_MAX_DEPTH) {
            return fail(m, "is nested too deeply");
        }
        m->mark[m->n_marks++] = m->n;
        return 0;

    case '0':                                               /* POP */
        return pop(m) != NULL ? 0 : -1;

    case 'N':                                               /* NONE */
        return push_new(m, TORCH_NONE);

    case 0x88:                                              /* NEWTRUE */
    case 0x89:                                              /* NEWFALSE */
        return push(m, torch_bool(m->g, op == 0x88));

    case 'c':                                               /* GLOBAL */
        return push_global(m);

    case 'X':                                               /* BINUNICODE */
        p = take(m, 4);
        return p != NULL ? push_string(m, little(p, 4)) : -1;

    case 'Q':                                               /* BINPERSID */
        return load_storage(m);

    case 'R':                                               /* REDUCE */
        return reduce(m);

    case 0x81:                                              /* NEWOBJ */
        return new_object(m);

    case 'b':                                               /* BUILD */
        return build(m);

    case 't':                                               /* TUPLE */
        return pop_mark(m, &first) == 0 ? make_tuple(m, first) : -1;

    case 0x85:                                              /* TUPLE1 */
    case 0x86:                                              /* TUPLE2 */
    case 0x87:                                              /* TUPLE3 */
        first = (size_t) (op - 0x84);
        return m->n < first ? fail(m, "takes more than there is")
                            : make_tuple(m, m->n - first);

    case 'K': case 'M': case 'J': case 0x8a: case 'G':
        return step_number(m, op);

    case 'q': case 'r': case 'h': case 'j':
        return step_memo(m, op);

    default:
        return step_items(m, op);
    }
}


static int
step_number(machine_t *m, int op)
{
    size_t                n;
    const unsigned char  *p;

    switch (op) {

    case 'G':                                               /* BINFLOAT */
        return push_float(m);

    case 0x8a:                                              /* LONG1 */
        return push_long(m);

    default:                          /* BININT1, BININT2, BININT */
        n = op == 'K' ? 1 : op == 'M' ? 2 : 4;

        p = take(m, n);
        if (p == NULL) {
            return -1;
        }

        return push(m, torch_int(m->g, n == 4 ? (int32_t) little(p, n)
                                              : (int64_t) little(p, n)));
    }
}


static int
step_items(machine_t *m, int op)
{
    size_t  first = 0;

    switch (op) {

    case ')':                                               /* EMPTY_TUPLE */
        return push_new(m, TORCH_TUPLE);

    case ']':                                               /* EMPTY_LIST */
        return push_new(m, TORCH_LIST);

    case '}':                                               /* EMPTY_DICT */
        return push_new(m, TORCH_DICT);

    case 'a':                                               /* APPEND */
        return m->n > 0 ? append_items(m, m->n - 1)
                        : fail(m, "takes more than there is");

    case 'e':                                               /* APPENDS */
        return pop_mark(m, &first) == 0 ? append_items(m, first) : -1;

    case 's':                                               /* SETITEM */
        return m->n > 1 ? set_items(m, m->n - 2)
                        : fail(m, "takes more than there is");

    case 'u':                                               /* SETITEMS */
        return pop_mark(m, &first) == 0 ? set_items(m, first) : -1;

    default:
        return infer_graph_fail(m->g, "%s: opcode 0x%02x is not one that "
                                "torch.jit.save writes", m->name, op);
    }
}


static int
step_memo(machine_t *m, int op)
{
    size_t                i;
    const unsigned char  *p;

    p = take(m, op == 'q' || op == 'h' ? 1 : 4);
    if (p == NULL) {
        return -1;
    }

    i = little(p, op == 'q' || op == 'h' ? 1 : 4);

    if (op == 'q' || op == 'r') {                 /* BINPUT, LONG_BINPUT */
        return memo_put(m, i);
    }

    if (i >= m->memo_space || m->memo[i] == NULL) {
        return fail(m, "recalls what it has not stored");
    }

    return push(m, m->memo[i]);                   /* BINGET, LONG_BINGET */
}


static int
fail(machine_t *m, const char *why)
{
    return infer_graph_fail(m->g, "%s: the pickle %s", m->name, why);
}


/* NULL: there are not as many bytes */
static const unsigned char *
take(machine_t *m, size_t n)
{
    if ((size_t) (m->end - m->pos) < n) {
        fail(m, "is truncated");
        return NULL;
    }

    m->pos += n;

    return m->pos - n;
}


static uint32_t
little(const unsigned char *p, size_t n)
{
    uint32_t  x = 0;

    while (n-- > 0) {
        x = x << 8 | p[n];
    }

    return x;
}


/* v NULL: out of memory */
static int
push(machine_t *m, torch_value_t *v)
{
    size_t           space;
    torch_value_t  **grown;

    if (v == NULL) {
        return -1;
    }

    if (++m->made > TORCH_MAX_ITEMS) {
        return fail(m, "has too many values");
    }

    if (m->n == m->space) {
        space = m->space ? m->space * 2 : 256;

        grown = realloc(m->stack, space * sizeof(*grown));
        if (grown == NULL) {
            return fail(m, "needs more memory than there is");
        }

        m->stack = grown;
        m->space = space;
    }

    m->stack[m->n++] = v;

    return 0;
}


/* Nothing below the last mark is taken. */
static torch_value_t *
pop(machine_t *m)
{
    if (m->n == (m->n_marks > 0 ? m->mark[m->n_marks - 1] : 0)) {
        fail(m, "takes more than there is");
        return NULL;
    }

    return m->stack[--m->n];
}


static int
push_new(machine_t *m, torch_kind_t kind)
{
    torch_value_t  *v;

    v = torch_new(m->g, kind);
    if (v != NULL) {
        v->saved = 1;
    }

    return push(m, v);
}


/* Two's complement, little endian; torch writes int64. */
static int
push_long(machine_t *m)
{
    size_t                n;
    uint64_t              x = 0;
    const unsigned char  *p;

    p = take(m, 1);
    if (p == NULL) {
        return -1;
    }

    n = *p;

    if (n > 8) {
        return fail(m, "has an integer of more than 64 bits");
    }

    p = take(m, n);
    if (p == NULL) {
        return -1;
    }

    if (n > 0 && (p[n - 1] & 0x80)) {
        x = UINT64_MAX;
    }

    while (n-- > 0) {
        x = x << 8 | p[n];
    }

    return push(m, torch_int(m->g, (int64_t) x));
}


/* big endian */
static int
push_float(machine_t *m)
{
    double                f;
    uint64_t              bits = 0;
    const unsigned char  *p;

    p = take(m, 8);
    if (p == NULL) {
        return -1;
    }

    for (int i = 0; i < 8; i++) {
        bits = bits << 8 | p[i];
    }

    memcpy(&f, &bits, sizeof(f));

    return push(m, torch_float(m->g, f));
}


static int
push_string(machine_t *m, size_t len)
{
    const unsigned char  *p;

    p = take(m, len);

    return p != NULL ? push(m, torch_string(m->g, (const char *) p, len))
                     : -1;
}


/* "module\nname\n" becomes "module.name" */
static int
push_global(machine_t *m)
{
    char                 *dot;
    size_t                len;
    torch_value_t        *v;
    const unsigned char  *middle, *last;

    middle = memchr(m->pos, '\n', (size_t) (m->end - m->pos));
    last = middle == NULL ? NULL
           : memchr(middle + 1, '\n', (size_t) (m->end - middle - 1));

    if (last == NULL) {
        return fail(m, "is truncated");
    }

    len = (size_t) (last - m->pos);
    v = torch_string(m->g, (const char *) m->pos, len);

    if (v == NULL) {
        return -1;
    }

    dot = (char *) v->string.s + (middle - m->pos);
    *dot = '.';

    v->kind = TORCH_GLOBAL;
    m->pos = last + 1;

    return push(m, v);
}


static int
pop_mark(machine_t *m, size_t *first)
{
    if (m->n_marks == 0) {
        return fail(m, "has no mark to go back to");
    }

    *first = m->mark[--m->n_marks];

    return 0;
}


/* The values from first on become one. */
static int
make_tuple(machine_t *m, size_t first)
{
    torch_value_t  *tuple;

    tuple = torch_new(m->g, TORCH_TUPLE);
    if (tuple == NULL) {
        return -1;
    }

    for (size_t i = first; i < m->n; i++) {
        if (torch_append(m->g, tuple, m->stack[i]) != 0) {
            return -1;
        }
    }

    m->n = first;

    return push(m, tuple);
}


/* Keys and values from first on go into the dict below them. */
static int
set_items(machine_t *m, size_t first)
{
    torch_value_t  *dict;

    dict = first > 0 ? m->stack[first - 1] : NULL;

    if (dict == NULL || dict->kind != TORCH_DICT || (m->n - first) % 2 != 0) {
        return fail(m, "sets items of what is no dict");
    }

    for (size_t i = first; i < m->n; i++) {
        if (torch_append(m->g, dict, m->stack[i]) != 0) {
            return -1;
        }
    }

    m->n = first;

    return 0;
}


static int
append_items(machine_t *m, size_t first)
{
    torch_value_t  *list;

    list = first > 0 ? m->stack[first - 1] : NULL;

    if (list == NULL || list->kind != TORCH_LIST) {
        return fail(m, "appends to what is no list");
    }

    for (size_t i = first; i < m->n; i++) {
        if (torch_append(m->g, list, m->stack[i]) != 0) {
            return -1;
        }
    }

    m->n = first;

    return 0;
}


static int
memo_put(machine_t *m, size_t i)
{
    size_t           space;
    torch_value_t  **grown;

    if (m->n == 0 || i >= TORCH_MAX_ITEMS) {
        return fail(m, "stores what is not there");
    }

    if (i >= m->memo_space) {
        space = m->memo_space ? m->memo_space : 256;

        while (space <= i) {
            space *= 2;
        }

        grown = realloc(m->memo, space * sizeof(*grown));
        if (grown == NULL) {
            return fail(m, "needs more memory than there is");
        }

        memset(grown + m->memo_space, 0,
               (space - m->memo_space) * sizeof(*grown));

        m->memo = grown;
        m->memo_space = space;
    }

    m->memo[i] = m->stack[m->n - 1];

    return 0;
}


/* class () -> object */
static int
new_object(machine_t *m)
{
    torch_value_t  *args, *global, *v;

    args = pop(m);
    global = args != NULL ? pop(m) : NULL;

    if (global == NULL) {
        return -1;
    }

    if (global->kind != TORCH_GLOBAL || args->kind != TORCH_TUPLE
        || args->items.n != 0
        || strncmp(global->string.s, "__torch__.", 10) != 0)
    {
        return fail(m, "makes an object of what is no class of the archive");
    }

    v = torch_new(m->g, TORCH_OBJECT);
    if (v == NULL) {
        return -1;
    }

    v->object->class_name = global->string.s;
    v->saved = 1;

    return push(m, v);
}


/* object dict -> object; another state is for the object's __setstate__ */
static int
build(machine_t *m)
{
    torch_value_t  *state, *v;

    state = pop(m);
    v = state != NULL ? pop(m) : NULL;

    if (v == NULL) {
        return -1;
    }

    if (v->kind != TORCH_OBJECT) {
        return fail(m, "gives a state to what is no object");
    }

    if (state->kind != TORCH_DICT) {
        v->object->state = state;
        return push(m, v);
    }

    for (size_t i = 0; i < state->items.n; i += 2) {
        if (state->items.item[i]->kind != TORCH_STRING) {
            return fail(m, "has an attribute without a name");
        }

        if (torch_set_attr(m->g, v->object, state->items.item[i]->string.s,
                           state->items.item[i + 1]) != 0)
        {
            return -1;
        }
    }

    return push(m, v);
}


static int
reduce(machine_t *m)
{
    torch_value_t  *args, *global;

    args = pop(m);
    global = args != NULL ? pop(m) : NULL;

    if (global == NULL) {
        return -1;
    }

    if (global->kind != TORCH_GLOBAL || args->kind != TORCH_TUPLE) {
        return fail(m, "calls what is no function");
    }

    return push(m, call(m, global->string.s, args));
}


static torch_value_t *
call(machine_t *m, const char *name, torch_value_t *args)
{
    static const char    tagged[] = "torch.jit._pickle.";

    if (strcmp(name, "torch._utils._rebuild_tensor_v2") == 0) {
        return torch_rebuild_tensor(m->g, args);
    }

    if (strcmp(name, "torch._utils._rebuild_qtensor") == 0) {
        return torch_rebuild_qtensor(m->g, args);
    }

    if (strcmp(name, "collections.OrderedDict") == 0 && args->items.n == 0) {
        return torch_new(m->g, TORCH_DICT);
    }

    /* build_intlist(list), restore_type_tag(value, "List[int]"): themselves */
    if (strncmp(name, tagged, sizeof(tagged) - 1) == 0 && args->items.n > 0) {
        name += sizeof(tagged) - 1;

        if (strcmp(name, "build_intlist") == 0
            || strcmp(name, "build_doublelist") == 0
            || strcmp(name, "build_boollist") == 0
            || strcmp(name, "build_tensorlist") == 0
            || strcmp(name, "restore_type_tag") == 0)
        {
            return args->items.item[0];
        }
    }

    /* a NamedTuple */
    if (strncmp(name, "__torch__.", 10) == 0) {
        args->class_name = name;
        return args;
    }

    infer_graph_fail(m->g, "%s: \"%s\" is not called by what torch.jit.save "
                     "writes", m->name, name);
    return NULL;
}


static int
load_storage(machine_t *m)
{
    torch_value_t  *id;

    id = pop(m);

    return id != NULL ? push(m, torch_load_storage(m->g, m->zip, m->folder,
                                                   id))
                      : -1;
}
