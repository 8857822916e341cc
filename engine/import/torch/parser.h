/*
 * What the two parts of the parser share: its state, tokens, nodes.
 */

#ifndef INFER_TORCH_PARSER_H
#define INFER_TORCH_PARSER_H

#include "import/torch/syntax.h"


typedef struct {
    infer_graph_t  *g;
    torch_lexer_t   lexer;
    torch_token_t   token;        /* the next one */
    int             depth;
    size_t          made;         /* nodes so far */
} torch_parser_t;


/* Reads the next token into p->token.  0 or -1, as all below. */
int syntax_next(torch_parser_t *p);

/* "FILE:LINE: .. expected"; always -1. */
int syntax_fail(torch_parser_t *p, const char *expected);

/* Whether the next token is this sign, or this name. */
int syntax_is_sign(const torch_parser_t *p, char sign);
int syntax_is_word(const torch_parser_t *p, const char *word);

/* Takes the next token, which must be one of these. */
int syntax_expect_sign(torch_parser_t *p, char sign);
int syntax_expect(torch_parser_t *p, torch_token_kind_t kind, const char *what);

/* What calls it, and may call itself in turn, ends with p->depth--. */
int syntax_enter(torch_parser_t *p);

/* A new node at the place of the next token; NULL with the error. */
torch_node_t *syntax_node(torch_parser_t *p, torch_syntax_t kind);

/* Appends a child; NULL: it could not be parsed. */
int syntax_add(torch_parser_t *p, torch_node_t *to, torch_node_t *child);

/* The next token becomes the name of n. */
int syntax_take_name(torch_parser_t *p, torch_node_t *n);

/* An operand followed by attributes, subscripts and calls: expression.c. */
torch_node_t *syntax_expression(torch_parser_t *p);

#endif /* INFER_TORCH_PARSER_H */
