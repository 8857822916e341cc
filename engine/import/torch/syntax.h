/*
 * The subset of Python that TorchScript's serializer writes: classes,
 * functions, assignments, if, while, for over range, with, return, calls,
 * literals; no operators, comparisons or comprehensions; two spaces of
 * indentation.
 */

#ifndef INFER_TORCH_SYNTAX_H
#define INFER_TORCH_SYNTAX_H

#include "import/torch/torch.h"


/* ---- tokens ----------------------------------------------------------- */

typedef enum {
    TOKEN_END = 0,
    TOKEN_NEWLINE,
    TOKEN_INDENT,
    TOKEN_DEDENT,
    TOKEN_NAME,
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_STRING,
    TOKEN_ARROW,                  /* -> */
    TOKEN_SIGN                    /* one character: ( ) [ ] { } , : = . - */
} torch_token_kind_t;

typedef struct {
    torch_token_kind_t  kind;
    int                 line;
    char                sign;
    const char         *s;        /* name, or the contents of a string */
    size_t              len;
    int64_t             i;
    double              f;
} torch_token_t;

typedef struct {
    infer_graph_t  *g;
    const char     *file;         /* for messages */
    const char     *pos;
    const char     *end;
    int             line;
    int             brackets;     /* open ones: lines do not end */
    int             fresh;        /* at the start of a line */
    int             indent[TORCH_MAX_DEPTH];
    int             n_indents;
    int             dedents;      /* yet to be handed out */
} torch_lexer_t;

void torch_lexer_init(torch_lexer_t *lexer, infer_graph_t *g,
    const char *file, const char *text, size_t len);

int torch_next_token(torch_lexer_t *lexer, torch_token_t *token);


/* ---- the tree --------------------------------------------------------- */

typedef enum {
    /* expressions */
    SYNTAX_NAME = 0,              /* name */
    SYNTAX_INT,                   /* i */
    SYNTAX_FLOAT,                 /* f */
    SYNTAX_STRING,                /* name, len */
    SYNTAX_NONE,
    SYNTAX_BOOL,                  /* i */
    SYNTAX_ATTR,                  /* child[0] . name */
    SYNTAX_CALL,                  /* child[0] ( child[1], .. ) */
    SYNTAX_KEYWORD,               /* an argument name = child[0] */
    SYNTAX_SUBSCRIPT,             /* child[0] [ child[1], .. ] */
    SYNTAX_TUPLE,
    SYNTAX_LIST,
    SYNTAX_DICT,                  /* key, value, key, value, .. */

    /* statements */
    SYNTAX_ASSIGN,                /* targets, then the value */
    SYNTAX_ANNOTATION,            /* name : child[0] [ = child[1] ] */
    SYNTAX_EVAL,                  /* child[0] */
    SYNTAX_RETURN,                /* child[0], if any */
    SYNTAX_PASS,
    SYNTAX_IF,                    /* condition, block[, block] */
    SYNTAX_WHILE,                 /* condition, block */
    SYNTAX_FOR,                   /* target name, iterated, block */
    SYNTAX_WITH,                  /* context, block; name of its value */
    SYNTAX_BLOCK,

    /* of a file */
    SYNTAX_PARAMETER,             /* name[ : type][ = value]; either NULL */
    SYNTAX_FUNCTION,              /* name; parameters, then the block */
    SYNTAX_CLASS                  /* name; base or NONE, then statements */
} torch_syntax_t;

typedef struct torch_node_s  torch_node_t;

struct torch_node_s {
    torch_syntax_t   kind;
    int              line;
    const char      *name;        /* ends with a 0 */
    size_t           len;
    int64_t          i;
    double           f;
    torch_node_t   **child;
    size_t           n;
    size_t           space;
};

/* A file of code: a SYNTAX_BLOCK of classes and functions. */
torch_node_t *torch_parse(infer_graph_t *g, const char *file,
    const char *text, size_t len);

#endif /* INFER_TORCH_SYNTAX_H */
