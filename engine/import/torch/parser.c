/*
 * Tokens to a tree, by recursive descent: files, classes, functions and
 * statements.
 */

#include <string.h>

#include "import/torch/parser.h"


static torch_node_t *parse_file(torch_parser_t *p);
static torch_node_t *parse_class(torch_parser_t *p);
static int parse_base(torch_parser_t *p, torch_node_t *n);
static torch_node_t *parse_function(torch_parser_t *p);
static torch_node_t *parse_parameter(torch_parser_t *p);
static torch_node_t *parse_block(torch_parser_t *p);
static torch_node_t *parse_statement(torch_parser_t *p);
static torch_node_t *parse_if(torch_parser_t *p);
static torch_node_t *parse_while(torch_parser_t *p);
static torch_node_t *parse_for(torch_parser_t *p);
static torch_node_t *parse_with(torch_parser_t *p);
static torch_node_t *parse_return(torch_parser_t *p);
static torch_node_t *parse_simple(torch_parser_t *p);
static torch_node_t *parse_annotation(torch_parser_t *p, torch_node_t *target);
static torch_node_t *parse_targets(torch_parser_t *p, torch_node_t *first);
static torch_node_t *parse_value(torch_parser_t *p);


torch_node_t *
torch_parse(infer_graph_t *g, const char *file, const char *text, size_t len)
{
    torch_parser_t  p;

    memset(&p, 0, sizeof(p));

    p.g = g;
    torch_lexer_init(&p.lexer, g, file, text, len);

    return syntax_next(&p) == 0 ? parse_file(&p) : NULL;
}


/* ---- tokens and nodes ------------------------------------------------- */

int
syntax_next(torch_parser_t *p)
{
    return torch_next_token(&p->lexer, &p->token);
}


int
syntax_fail(torch_parser_t *p, const char *expected)
{
    return infer_graph_fail(p->g, "%s:%d: %s expected", p->lexer.file,
                            p->token.line, expected);
}


int
syntax_is_sign(const torch_parser_t *p, char sign)
{
    return p->token.kind == TOKEN_SIGN && p->token.sign == sign;
}


int
syntax_is_word(const torch_parser_t *p, const char *word)
{
    return p->token.kind == TOKEN_NAME && strcmp(p->token.s, word) == 0;
}


int
syntax_expect_sign(torch_parser_t *p, char sign)
{
    char  what[4] = { '"', sign, '"', '\0' };

    return syntax_is_sign(p, sign) ? syntax_next(p) : syntax_fail(p, what);
}


int
syntax_expect(torch_parser_t *p, torch_token_kind_t kind, const char *what)
{
    return p->token.kind == kind ? syntax_next(p) : syntax_fail(p, what);
}


/* What calls it, and may call itself in turn, ends with p->depth--. */
int
syntax_enter(torch_parser_t *p)
{
    if (++p->depth > TORCH_MAX_DEPTH) {
        return infer_graph_fail(p->g, "%s:%d: nested too deeply",
                                p->lexer.file, p->token.line);
    }

    return 0;
}


torch_node_t *
syntax_node(torch_parser_t *p, torch_syntax_t kind)
{
    torch_node_t  *n;

    if (++p->made > TORCH_MAX_ITEMS) {
        infer_graph_fail(p->g, "%s: the code is too long", p->lexer.file);
        return NULL;
    }

    n = infer_graph_alloc(p->g, sizeof(*n));
    if (n != NULL) {
        n->kind = kind;
        n->line = p->token.line;
    }

    return n;
}


/* child NULL: it could not be parsed */
int
syntax_add(torch_parser_t *p, torch_node_t *to, torch_node_t *child)
{
    size_t          space;
    torch_node_t  **grown;

    if (child == NULL) {
        return -1;
    }

    if (to->n == to->space) {
        space = to->space ? to->space * 2 : 4;

        grown = infer_graph_alloc(p->g, space * sizeof(*grown));
        if (grown == NULL) {
            return -1;
        }

        if (to->n > 0) {
            memcpy(grown, to->child, to->n * sizeof(*grown));
        }

        to->child = grown;
        to->space = space;
    }

    to->child[to->n++] = child;

    return 0;
}


int
syntax_take_name(torch_parser_t *p, torch_node_t *n)
{
    if (p->token.kind != TOKEN_NAME) {
        return syntax_fail(p, "a name");
    }

    n->name = p->token.s;
    n->len = p->token.len;

    return syntax_next(p);
}


/* ---- classes and functions -------------------------------------------- */

static torch_node_t *
parse_file(torch_parser_t *p)
{
    torch_node_t  *file, *n;

    file = syntax_node(p, SYNTAX_BLOCK);
    if (file == NULL) {
        return NULL;
    }

    while (p->token.kind != TOKEN_END) {
        n = syntax_is_word(p, "class") ? parse_class(p)
            : syntax_is_word(p, "def") ? parse_function(p) : parse_simple(p);

        if (syntax_add(p, file, n) != 0) {
            return NULL;
        }
    }

    return file;
}


static int
parse_base(torch_parser_t *p, torch_node_t *n)
{
    if (!syntax_is_sign(p, '(')) {
        return syntax_add(p, n, syntax_node(p, SYNTAX_NONE));
    }

    return syntax_next(p) == 0 && syntax_add(p, n, syntax_expression(p)) == 0
           && syntax_expect_sign(p, ')') == 0 ? 0 : -1;
}


static torch_node_t *
parse_class(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_CLASS);

    if (n == NULL || syntax_next(p) != 0 || syntax_take_name(p, n) != 0
        || parse_base(p, n) != 0 || syntax_expect_sign(p, ':') != 0
        || syntax_expect(p, TOKEN_NEWLINE, "the end of the line") != 0
        || syntax_expect(p, TOKEN_INDENT, "an indented block") != 0)
    {
        return NULL;
    }

    while (p->token.kind != TOKEN_DEDENT) {
        if (syntax_add(p, n, syntax_is_word(p, "def") ? parse_function(p)
                                        : parse_statement(p)) != 0)
        {
            return NULL;
        }
    }

    return syntax_next(p) == 0 ? n : NULL;
}


static torch_node_t *
parse_function(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_FUNCTION);

    if (n == NULL || syntax_next(p) != 0 || syntax_take_name(p, n) != 0
        || syntax_expect_sign(p, '(') != 0)
    {
        return NULL;
    }

    while (!syntax_is_sign(p, ')')) {
        if (syntax_add(p, n, parse_parameter(p)) != 0
            || (!syntax_is_sign(p, ')') && syntax_expect_sign(p, ',') != 0))
        {
            return NULL;
        }
    }

    if (syntax_next(p) != 0) {
        return NULL;
    }

    /* what it returns is known from what it does */
    if (p->token.kind == TOKEN_ARROW
        && (syntax_next(p) != 0 || syntax_expression(p) == NULL))
    {
        return NULL;
    }

    return syntax_expect_sign(p, ':') == 0
           && syntax_add(p, n, parse_block(p)) == 0
           ? n : NULL;
}


static torch_node_t *
parse_parameter(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_PARAMETER);
    if (n == NULL) {
        return NULL;
    }

    n->child = infer_graph_alloc(p->g, 2 * sizeof(*n->child));
    n->n = n->space = 2;

    if (n->child == NULL || syntax_take_name(p, n) != 0) {
        return NULL;
    }

    if (syntax_is_sign(p, ':')) {
        if (syntax_next(p) != 0
            || (n->child[0] = syntax_expression(p)) == NULL)
        {
            return NULL;
        }
    }

    if (syntax_is_sign(p, '=')) {
        if (syntax_next(p) != 0
            || (n->child[1] = syntax_expression(p)) == NULL)
        {
            return NULL;
        }
    }

    return n;
}


/* ---- statements ------------------------------------------------------- */

static torch_node_t *
parse_block(torch_parser_t *p)
{
    torch_node_t  *block;

    block = syntax_node(p, SYNTAX_BLOCK);

    if (block == NULL || syntax_enter(p) != 0
        || syntax_expect(p, TOKEN_NEWLINE, "the end of the line") != 0
        || syntax_expect(p, TOKEN_INDENT, "an indented block") != 0)
    {
        return NULL;
    }

    while (p->token.kind != TOKEN_DEDENT) {
        if (syntax_add(p, block, parse_statement(p)) != 0) {
            return NULL;
        }
    }

    p->depth--;

    return syntax_next(p) == 0 ? block : NULL;
}


static torch_node_t *
parse_statement(torch_parser_t *p)
{
    if (syntax_is_word(p, "if")) {
        return parse_if(p);
    }

    if (syntax_is_word(p, "while")) {
        return parse_while(p);
    }

    if (syntax_is_word(p, "for")) {
        return parse_for(p);
    }

    if (syntax_is_word(p, "with")) {
        return parse_with(p);
    }

    if (syntax_is_word(p, "return")) {
        return parse_return(p);
    }

    return parse_simple(p);
}


static torch_node_t *
parse_if(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_IF);

    if (n == NULL || syntax_next(p) != 0
        || syntax_add(p, n, syntax_expression(p)) != 0
        || syntax_expect_sign(p, ':') != 0
        || syntax_add(p, n, parse_block(p)) != 0)
    {
        return NULL;
    }

    if (!syntax_is_word(p, "else")) {
        return n;
    }

    return syntax_next(p) == 0 && syntax_expect_sign(p, ':') == 0
           && syntax_add(p, n, parse_block(p)) == 0 ? n : NULL;
}


static torch_node_t *
parse_while(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_WHILE);

    return n != NULL && syntax_next(p) == 0
           && syntax_add(p, n, syntax_expression(p)) == 0
           && syntax_expect_sign(p, ':') == 0
           && syntax_add(p, n, parse_block(p)) == 0
           ? n : NULL;
}


static torch_node_t *
parse_for(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_FOR);

    if (n == NULL || syntax_next(p) != 0
        || syntax_add(p, n, syntax_expression(p)) != 0)
    {
        return NULL;
    }

    if (!syntax_is_word(p, "in")) {
        syntax_fail(p, "\"in\"");
        return NULL;
    }

    return syntax_next(p) == 0 && syntax_add(p, n, syntax_expression(p)) == 0
           && syntax_expect_sign(p, ':') == 0
           && syntax_add(p, n, parse_block(p)) == 0
           ? n : NULL;
}


static torch_node_t *
parse_with(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_WITH);

    if (n == NULL || syntax_next(p) != 0
        || syntax_add(p, n, syntax_expression(p)) != 0)
    {
        return NULL;
    }

    if (syntax_is_word(p, "as")
        && (syntax_next(p) != 0 || syntax_take_name(p, n) != 0))
    {
        return NULL;
    }

    return syntax_expect_sign(p, ':') == 0
           && syntax_add(p, n, parse_block(p)) == 0 ? n : NULL;
}


static torch_node_t *
parse_return(torch_parser_t *p)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_RETURN);

    if (n == NULL || syntax_next(p) != 0) {
        return NULL;
    }

    if (p->token.kind != TOKEN_NEWLINE
        && syntax_add(p, n, syntax_expression(p)) != 0)
    {
        return NULL;
    }

    return syntax_expect(p, TOKEN_NEWLINE, "the end of the line") == 0
           ? n : NULL;
}


/* An assignment, an annotation, a call, or nothing at all. */
static torch_node_t *
parse_simple(torch_parser_t *p)
{
    torch_node_t  *n, *first;

    if (syntax_is_word(p, "pass")) {
        n = syntax_node(p, SYNTAX_PASS);

        if (n == NULL || syntax_next(p) != 0) {
            return NULL;
        }

    } else {
        first = syntax_expression(p);
        if (first == NULL) {
            return NULL;
        }

        if (syntax_is_sign(p, ':')) {
            n = parse_annotation(p, first);

        } else if (syntax_is_sign(p, '=') || syntax_is_sign(p, ',')) {
            n = parse_targets(p, first);

        } else {
            n = syntax_node(p, SYNTAX_EVAL);
            n = n != NULL && syntax_add(p, n, first) == 0 ? n : NULL;
        }
    }

    return n != NULL
           && syntax_expect(p, TOKEN_NEWLINE, "the end of the line") == 0
           ? n : NULL;
}


static torch_node_t *
parse_annotation(torch_parser_t *p, torch_node_t *target)
{
    torch_node_t  *n;

    n = syntax_node(p, SYNTAX_ANNOTATION);

    if (n == NULL || target->kind != SYNTAX_NAME) {
        syntax_fail(p, "a name in front of a type");
        return NULL;
    }

    n->name = target->name;
    n->len = target->len;

    if (syntax_next(p) != 0 || syntax_add(p, n, syntax_expression(p)) != 0) {
        return NULL;
    }

    if (!syntax_is_sign(p, '=')) {
        return n;
    }

    return syntax_next(p) == 0 && syntax_add(p, n, syntax_expression(p)) == 0
           ? n : NULL;
}


/* "a, b, = value": the comma behind the last target is written, too */
static torch_node_t *
parse_targets(torch_parser_t *p, torch_node_t *first)
{
    torch_node_t  *n, *target = first, *tuple = NULL;

    n = syntax_node(p, SYNTAX_ASSIGN);
    if (n == NULL) {
        return NULL;
    }

    if (syntax_is_sign(p, ',')) {
        tuple = syntax_node(p, SYNTAX_TUPLE);
        if (tuple == NULL) {
            return NULL;
        }
    }

    while (tuple != NULL) {
        if (syntax_add(p, tuple, target) != 0) {
            return NULL;
        }

        if (syntax_is_sign(p, ',') && syntax_next(p) != 0) {
            return NULL;
        }

        if (syntax_is_sign(p, '=')) {
            break;
        }

        target = syntax_expression(p);
    }

    return syntax_add(p, n, tuple != NULL ? tuple : first) == 0
           && syntax_expect_sign(p, '=') == 0
           && syntax_add(p, n, parse_value(p)) == 0
           ? n : NULL;
}


/* "a, b" in the place of a value is a tuple */
static torch_node_t *
parse_value(torch_parser_t *p)
{
    torch_node_t  *tuple, *value;

    value = syntax_expression(p);

    if (value == NULL || !syntax_is_sign(p, ',')) {
        return value;
    }

    tuple = syntax_node(p, SYNTAX_TUPLE);

    if (tuple == NULL || syntax_add(p, tuple, value) != 0) {
        return NULL;
    }

    while (syntax_is_sign(p, ',')) {
        if (syntax_next(p) != 0) {
            return NULL;
        }

        if (p->token.kind != TOKEN_NEWLINE
            && syntax_add(p, tuple, syntax_expression(p)) != 0)
        {
            return NULL;
        }
    }

    return tuple;
}
