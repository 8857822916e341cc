/*
 * Values of pickles and of code.
 */

#include <stdint.h>
#include <string.h>

#include "import/torch/torch.h"


torch_value_t *
torch_new(infer_graph_t *g, torch_kind_t kind)
{
    torch_value_t  *v;

    v = infer_graph_alloc(g, sizeof(*v));
    if (v == NULL) {
        return NULL;
    }

    v->kind = kind;

    if (kind == TORCH_OBJECT) {
        v->object = infer_graph_alloc(g, sizeof(*v->object));
        return v->object != NULL ? v : NULL;
    }

    return v;
}


torch_value_t *
torch_string(infer_graph_t *g, const char *s, size_t len)
{
    torch_value_t  *v;

    v = torch_new(g, TORCH_STRING);
    if (v == NULL) {
        return NULL;
    }

    v->string.s = infer_graph_strdup(g, s, len);
    v->string.len = len;

    return v->string.s != NULL ? v : NULL;
}


torch_value_t *
torch_int(infer_graph_t *g, int64_t i)
{
    torch_value_t  *v;

    v = torch_new(g, TORCH_INT);
    if (v != NULL) {
        v->i = i;
    }

    return v;
}


torch_value_t *
torch_float(infer_graph_t *g, double f)
{
    torch_value_t  *v;

    v = torch_new(g, TORCH_FLOAT);
    if (v != NULL) {
        v->f = f;
    }

    return v;
}


torch_value_t *
torch_bool(infer_graph_t *g, int b)
{
    torch_value_t  *v;

    v = torch_new(g, TORCH_BOOL);
    if (v != NULL) {
        v->i = b != 0;
    }

    return v;
}


torch_value_t *
torch_tensor(infer_graph_t *g, infer_value_t *tensor)
{
    torch_value_t  *v;

    v = torch_new(g, TORCH_TENSOR);
    if (v != NULL) {
        v->tensor = tensor;
    }

    return v;
}


torch_value_t *
torch_view(infer_graph_t *g, torch_value_t *base, infer_value_t *tensor)
{
    torch_value_t  *v;

    v = torch_tensor(g, tensor);
    if (v == NULL) {
        return NULL;
    }

    if (base->memory == NULL) {
        base->memory = infer_graph_alloc(g, sizeof(*base->memory));
        if (base->memory == NULL) {
            return NULL;
        }
    }

    v->memory = base->memory;
    v->version = base->version;

    return v;
}


int
torch_append(infer_graph_t *g, torch_value_t *to, torch_value_t *item)
{
    size_t           space;
    torch_value_t  **grown;
    torch_items_t   *items = &to->items;

    if (items->n == items->space) {
        space = items->space ? items->space * 2 : 8;

        if (space > TORCH_MAX_ITEMS) {
            return infer_graph_fail(g, "a list has too many elements");
        }

        grown = infer_graph_alloc(g, space * sizeof(*grown));
        if (grown == NULL) {
            return -1;
        }

        if (items->n > 0) {
            memcpy(grown, items->item, items->n * sizeof(*grown));
        }

        items->item = grown;
        items->space = space;
    }

    items->item[items->n++] = item;

    return 0;
}


torch_value_t *
torch_attr(const torch_object_t *object, const char *name)
{
    for (size_t i = 0; i < object->n; i++) {
        if (strcmp(object->attr[i].name, name) == 0) {
            return object->attr[i].value;
        }
    }

    return NULL;
}


int
torch_set_attr(infer_graph_t *g, torch_object_t *object, const char *name,
    torch_value_t *value)
{
    size_t         space;
    torch_attr_t  *grown;

    for (size_t i = 0; i < object->n; i++) {
        if (strcmp(object->attr[i].name, name) == 0) {
            object->attr[i].value = value;
            return 0;
        }
    }

    if (object->n == object->space) {
        space = object->space ? object->space * 2 : 8;

        if (space > TORCH_MAX_ATTRS) {
            return infer_graph_fail(g, "an object has too many attributes");
        }

        grown = infer_graph_alloc(g, space * sizeof(*grown));
        if (grown == NULL) {
            return -1;
        }

        if (object->n > 0) {
            memcpy(grown, object->attr, object->n * sizeof(*grown));
        }

        object->attr = grown;
        object->space = space;
    }

    object->attr[object->n].name = name;
    object->attr[object->n].value = value;
    object->n++;

    return 0;
}


const char *
torch_kind_name(torch_kind_t kind)
{
    static const char *const  name[] = {
        "None", "bool", "int", "float", "str", "list", "tuple", "dict",
        "Tensor", "object", "global", "storage"
    };

    return name[kind];
}
