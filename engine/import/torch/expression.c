/*
 * Expressions, by recursive descent.  Types are read as the expressions that
 * they look like.
 */

#include <math.h>
#include <string.h>

#include "import/torch/parser.h"


static torch_node_t *parse_suffix(torch_parser_t *p, torch_node_t *operand);
static torch_node_t *parse_word(torch_parser_t *p);
static torch_node_t *parse_literal(torch_parser_t *p);
static torch_node_t *parse_negative(torch_parser_t *p);
static torch_node_t *parse_parentheses(torch_parser_t *p);
static int parse_items(torch_parser_t *p, torch_node_t *to, char end);
static torch_node_t *parse_item(torch_parser_t *p, int is_argument);
static torch_node_t *parse_dict(torch_parser_t *p);


/* An operand followed by attributes, subscripts and calls. */
torch_node_t *
syntax_expression(torch_parser_t *p)
{
    int            depth = p->depth;
    torch_node_t  *n;

    if (syntax_enter(p) != 0) {
        return NULL;
    }

    n = p->token.kind == TOKEN_NAME ? parse_word(p)
        : syntax_is_sign(p, '(') ? parse_parentheses(p) : parse_literal(p);

    while (n != NULL && (syntax_is_sign(p, '.') || syntax_is_sign(p, '[')
                         || syntax_is_sign(p, '(')))
    {
        /* a chain is a tree as deep as it is long */
        n = syntax_enter(p) == 0 ? parse_suffix(p, n) : NULL;
    }

    p->depth = depth;

    return n;
}


static torch_node_t *
parse_suffix(torch_parser_t *p, torch_node_t *operand)
{
    char           sign = p->token.sign;
    torch_node_t  *n;

    n = syntax_node(p, sign == '.' ? SYNTAX_ATTR
                : sign == '[' ? SYNTAX_SUBSCRIPT : SYNTAX_CALL);

    if (n == NULL || syntax_next(p) != 0 || syntax_add(p, n, operand) != 0) {
        return NULL;
    }

    if (sign == '.') {
        return syntax_take_name(p, n) == 0 ? n : NULL;
    }

    return parse_items(p, n, sign == '[' ? ']' : ')') == 0 ? n : NULL;
}


static torch_node_t *
parse_word(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_NAME);
    if (n == NULL) {
        return NULL;
    }

    if (syntax_is_word(p, "None")) {
        n->kind = SYNTAX_NONE;

    } else if (syntax_is_word(p, "True") || syntax_is_word(p, "False")) {
        n->kind = SYNTAX_BOOL;
        n->i = syntax_is_word(p, "True");
    }

    return syntax_take_name(p, n) == 0 ? n : NULL;
}


static torch_node_t *
parse_literal(torch_parser_t *p)
{
    torch_node_t  *n;

    if (syntax_is_sign(p, '-')) {
        return parse_negative(p);
    }

    if (syntax_is_sign(p, '{')) {
        return parse_dict(p);
    }

    n = syntax_node(p, SYNTAX_LIST);
    if (n == NULL) {
        return NULL;
    }

    if (syntax_is_sign(p, '[')) {
        return syntax_next(p) == 0 && parse_items(p, n, ']') == 0 ? n : NULL;
    }

    n->name = p->token.s;
    n->len = p->token.len;
    n->i = p->token.i;
    n->f = p->token.f;

    switch (p->token.kind) {

    case TOKEN_INT:
        n->kind = SYNTAX_INT;
        break;

    case TOKEN_FLOAT:
        n->kind = SYNTAX_FLOAT;
        break;

    case TOKEN_STRING:
        n->kind = SYNTAX_STRING;
        break;

    default:
        syntax_fail(p, "an expression");
        return NULL;
    }

    return syntax_next(p) == 0 ? n : NULL;
}


/* the only arithmetic: the sign of a number */
static torch_node_t *
parse_negative(torch_parser_t *p)
{
    torch_node_t  *n;

    if (syntax_next(p) != 0) {
        return NULL;
    }

    if (p->token.kind == TOKEN_NAME && p->token.len == 3
        && memcmp(p->token.s, "inf", 3) == 0)
    {
        n = syntax_node(p, SYNTAX_FLOAT);
        if (n != NULL) {
            n->f = -INFINITY;
        }

        return n != NULL && syntax_next(p) == 0 ? n : NULL;
    }

    if (p->token.kind != TOKEN_INT && p->token.kind != TOKEN_FLOAT) {
        syntax_fail(p, "a number");
        return NULL;
    }

    n = parse_literal(p);

    if (n != NULL) {
        n->i = -n->i;
        n->f = -n->f;
    }

    return n;
}


/* (a) is a; (a,) and () are tuples */
static torch_node_t *
parse_parentheses(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_TUPLE);

    if (n == NULL || syntax_next(p) != 0) {
        return NULL;
    }

    if (!syntax_is_sign(p, ')')) {
        if (syntax_add(p, n, syntax_expression(p)) != 0) {
            return NULL;
        }

        if (syntax_is_sign(p, ')')) {
            return syntax_next(p) == 0 ? n->child[0] : NULL;
        }

        if (syntax_expect_sign(p, ',') != 0) {
            return NULL;
        }
    }

    return parse_items(p, n, ')') == 0 ? n : NULL;
}


/* Expressions with commas between, and maybe one behind, and the end. */
static int
parse_items(torch_parser_t *p, torch_node_t *to, char end)
{
    while (!syntax_is_sign(p, end)) {
        if (syntax_add(p, to, parse_item(p, to->kind == SYNTAX_CALL)) != 0
            || (!syntax_is_sign(p, end) && syntax_expect_sign(p, ',') != 0))
        {
            return -1;
        }
    }

    return syntax_next(p);
}


static torch_node_t *
parse_item(torch_parser_t *p, int is_argument)
{
    torch_node_t  *n, *keyword;

    n = syntax_expression(p);

    if (n == NULL || !is_argument || !syntax_is_sign(p, '=')
        || n->kind != SYNTAX_NAME)
    {
        return n;
    }

    keyword = syntax_node(p, SYNTAX_KEYWORD);
    if (keyword == NULL) {
        return NULL;
    }

    keyword->name = n->name;
    keyword->len = n->len;

    return syntax_next(p) == 0
           && syntax_add(p, keyword, syntax_expression(p)) == 0
           ? keyword : NULL;
}


static torch_node_t *
parse_dict(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_DICT);

    if (n == NULL || syntax_next(p) != 0) {
        return NULL;
    }

    while (!syntax_is_sign(p, '}')) {
        if (syntax_add(p, n, syntax_expression(p)) != 0
            || syntax_expect_sign(p, ':') != 0
            || syntax_add(p, n, syntax_expression(p)) != 0
            || (!syntax_is_sign(p, '}') && syntax_expect_sign(p, ',') != 0))
        {
            return NULL;
        }
    }

    return syntax_next(p) == 0 ? n : NULL;
}
