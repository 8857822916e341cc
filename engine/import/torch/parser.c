/*
 * Tokens to a tree, by recursive descent.  Types are read as the expressions
 * that they look like.
 */

#include <math.h>
#include <string.h>

#include "import/torch/syntax.h"


typedef struct {
    infer_graph_t  *g;
    torch_lexer_t   lexer;
    torch_token_t   token;        /* the next one */
    int             depth;
    size_t          made;         /* nodes so far */
} parser_t;


static int next(parser_t *p);
static int fail(parser_t *p, const char *expected);
static int is_sign(const parser_t *p, char sign);
static int is_word(const parser_t *p, const char *word);
static int expect_sign(parser_t *p, char sign);
static int expect(parser_t *p, torch_token_kind_t kind, const char *what);
static int enter(parser_t *p);
static torch_node_t *node(parser_t *p, torch_syntax_t kind);
static int add(parser_t *p, torch_node_t *to, torch_node_t *child);
static int take_name(parser_t *p, torch_node_t *n);
static torch_node_t *parse_file(parser_t *p);
static torch_node_t *parse_class(parser_t *p);
static int parse_base(parser_t *p, torch_node_t *n);
static torch_node_t *parse_function(parser_t *p);
static torch_node_t *parse_parameter(parser_t *p);
static torch_node_t *parse_block(parser_t *p);
static torch_node_t *parse_statement(parser_t *p);
static torch_node_t *parse_if(parser_t *p);
static torch_node_t *parse_while(parser_t *p);
static torch_node_t *parse_for(parser_t *p);
static torch_node_t *parse_return(parser_t *p);
static torch_node_t *parse_simple(parser_t *p);
static torch_node_t *parse_annotation(parser_t *p, torch_node_t *target);
static torch_node_t *parse_targets(parser_t *p, torch_node_t *first);
static torch_node_t *parse_value(parser_t *p);
static torch_node_t *parse_expression(parser_t *p);
static torch_node_t *parse_suffix(parser_t *p, torch_node_t *operand);
static torch_node_t *parse_word(parser_t *p);
static torch_node_t *parse_literal(parser_t *p);
static torch_node_t *parse_negative(parser_t *p);
static torch_node_t *parse_parentheses(parser_t *p);
static int parse_items(parser_t *p, torch_node_t *to, char end);
static torch_node_t *parse_item(parser_t *p, int is_argument);
static torch_node_t *parse_dict(parser_t *p);


torch_node_t *
torch_parse(infer_graph_t *g, const char *file, const char *text, size_t len)
{
    parser_t  p;

    memset(&p, 0, sizeof(p));

    p.g = g;
    torch_lexer_init(&p.lexer, g, file, text, len);

    return next(&p) == 0 ? parse_file(&p) : NULL;
}


/* ---- tokens and nodes ------------------------------------------------- */

static int
next(parser_t *p)
{
    return torch_next_token(&p->lexer, &p->token);
}


static int
fail(parser_t *p, const char *expected)
{
    return infer_graph_fail(p->g, "%s:%d: %s expected", p->lexer.file,
                            p->token.line, expected);
}


static int
is_sign(const parser_t *p, char sign)
{
    return p->token.kind == TOKEN_SIGN && p->token.sign == sign;
}


static int
is_word(const parser_t *p, const char *word)
{
    return p->token.kind == TOKEN_NAME && strcmp(p->token.s, word) == 0;
}


static int
expect_sign(parser_t *p, char sign)
{
    char  what[4] = { '"', sign, '"', '\0' };

    return is_sign(p, sign) ? next(p) : fail(p, what);
}


static int
expect(parser_t *p, torch_token_kind_t kind, const char *what)
{
    return p->token.kind == kind ? next(p) : fail(p, what);
}


/* What calls it, and may call itself in turn, ends with p->depth--. */
static int
enter(parser_t *p)
{
    if (++p->depth > TORCH_MAX_DEPTH) {
        return infer_graph_fail(p->g, "%s:%d: nested too deeply",
                                p->lexer.file, p->token.line);
    }

    return 0;
}


static torch_node_t *
node(parser_t *p, torch_syntax_t kind)
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
static int
add(parser_t *p, torch_node_t *to, torch_node_t *child)
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


static int
take_name(parser_t *p, torch_node_t *n)
{
    if (p->token.kind != TOKEN_NAME) {
        return fail(p, "a name");
    }

    n->name = p->token.s;
    n->len = p->token.len;

    return next(p);
}


/* ---- classes and functions -------------------------------------------- */

static torch_node_t *
parse_file(parser_t *p)
{
    torch_node_t  *file, *n;

    file = node(p, SYNTAX_BLOCK);
    if (file == NULL) {
        return NULL;
    }

    while (p->token.kind != TOKEN_END) {
        n = is_word(p, "class") ? parse_class(p)
            : is_word(p, "def") ? parse_function(p) : parse_simple(p);

        if (add(p, file, n) != 0) {
            return NULL;
        }
    }

    return file;
}


static int
parse_base(parser_t *p, torch_node_t *n)
{
    if (!is_sign(p, '(')) {
        return add(p, n, node(p, SYNTAX_NONE));
    }

    return next(p) == 0 && add(p, n, parse_expression(p)) == 0
           && expect_sign(p, ')') == 0 ? 0 : -1;
}


static torch_node_t *
parse_class(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_CLASS);

    if (n == NULL || next(p) != 0 || take_name(p, n) != 0
        || parse_base(p, n) != 0 || expect_sign(p, ':') != 0
        || expect(p, TOKEN_NEWLINE, "the end of the line") != 0
        || expect(p, TOKEN_INDENT, "an indented block") != 0)
    {
        return NULL;
    }

    while (p->token.kind != TOKEN_DEDENT) {
        if (add(p, n, is_word(p, "def") ? parse_function(p)
                                        : parse_statement(p)) != 0)
        {
            return NULL;
        }
    }

    return next(p) == 0 ? n : NULL;
}


static torch_node_t *
parse_function(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_FUNCTION);

    if (n == NULL || next(p) != 0 || take_name(p, n) != 0
        || expect_sign(p, '(') != 0)
    {
        return NULL;
    }

    while (!is_sign(p, ')')) {
        if (add(p, n, parse_parameter(p)) != 0
            || (!is_sign(p, ')') && expect_sign(p, ',') != 0))
        {
            return NULL;
        }
    }

    if (next(p) != 0) {
        return NULL;
    }

    /* what it returns is known from what it does */
    if (p->token.kind == TOKEN_ARROW
        && (next(p) != 0 || parse_expression(p) == NULL))
    {
        return NULL;
    }

    return expect_sign(p, ':') == 0 && add(p, n, parse_block(p)) == 0
           ? n : NULL;
}


static torch_node_t *
parse_parameter(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_PARAMETER);
    if (n == NULL) {
        return NULL;
    }

    n->child = infer_graph_alloc(p->g, 2 * sizeof(*n->child));
    n->n = n->space = 2;

    if (n->child == NULL || take_name(p, n) != 0) {
        return NULL;
    }

    if (is_sign(p, ':')) {
        if (next(p) != 0 || (n->child[0] = parse_expression(p)) == NULL) {
            return NULL;
        }
    }

    if (is_sign(p, '=')) {
        if (next(p) != 0 || (n->child[1] = parse_expression(p)) == NULL) {
            return NULL;
        }
    }

    return n;
}


/* ---- statements ------------------------------------------------------- */

static torch_node_t *
parse_block(parser_t *p)
{
    torch_node_t  *block;

    block = node(p, SYNTAX_BLOCK);

    if (block == NULL || enter(p) != 0
        || expect(p, TOKEN_NEWLINE, "the end of the line") != 0
        || expect(p, TOKEN_INDENT, "an indented block") != 0)
    {
        return NULL;
    }

    while (p->token.kind != TOKEN_DEDENT) {
        if (add(p, block, parse_statement(p)) != 0) {
            return NULL;
        }
    }

    p->depth--;

    return next(p) == 0 ? block : NULL;
}


static torch_node_t *
parse_statement(parser_t *p)
{
    if (is_word(p, "if")) {
        return parse_if(p);
    }

    if (is_word(p, "while")) {
        return parse_while(p);
    }

    if (is_word(p, "for")) {
        return parse_for(p);
    }

    if (is_word(p, "return")) {
        return parse_return(p);
    }

    return parse_simple(p);
}


static torch_node_t *
parse_if(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_IF);

    if (n == NULL || next(p) != 0 || add(p, n, parse_expression(p)) != 0
        || expect_sign(p, ':') != 0 || add(p, n, parse_block(p)) != 0)
    {
        return NULL;
    }

    if (!is_word(p, "else")) {
        return n;
    }

    return next(p) == 0 && expect_sign(p, ':') == 0
           && add(p, n, parse_block(p)) == 0 ? n : NULL;
}


static torch_node_t *
parse_while(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_WHILE);

    return n != NULL && next(p) == 0 && add(p, n, parse_expression(p)) == 0
           && expect_sign(p, ':') == 0 && add(p, n, parse_block(p)) == 0
           ? n : NULL;
}


static torch_node_t *
parse_for(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_FOR);

    if (n == NULL || next(p) != 0 || add(p, n, parse_expression(p)) != 0) {
        return NULL;
    }

    if (!is_word(p, "in")) {
        fail(p, "\"in\"");
        return NULL;
    }

    return next(p) == 0 && add(p, n, parse_expression(p)) == 0
           && expect_sign(p, ':') == 0 && add(p, n, parse_block(p)) == 0
           ? n : NULL;
}


static torch_node_t *
parse_return(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_RETURN);

    if (n == NULL || next(p) != 0) {
        return NULL;
    }

    if (p->token.kind != TOKEN_NEWLINE
        && add(p, n, parse_expression(p)) != 0)
    {
        return NULL;
    }

    return expect(p, TOKEN_NEWLINE, "the end of the line") == 0 ? n : NULL;
}


/* An assignment, an annotation, a call, or nothing at all. */
static torch_node_t *
parse_simple(parser_t *p)
{
    torch_node_t  *n, *first;

    if (is_word(p, "pass")) {
        n = node(p, SYNTAX_PASS);

        if (n == NULL || next(p) != 0) {
            return NULL;
        }

    } else {
        first = parse_expression(p);
        if (first == NULL) {
            return NULL;
        }

        if (is_sign(p, ':')) {
            n = parse_annotation(p, first);

        } else if (is_sign(p, '=') || is_sign(p, ',')) {
            n = parse_targets(p, first);

        } else {
            n = node(p, SYNTAX_EVAL);
            n = n != NULL && add(p, n, first) == 0 ? n : NULL;
        }
    }

    return n != NULL && expect(p, TOKEN_NEWLINE, "the end of the line") == 0
           ? n : NULL;
}


static torch_node_t *
parse_annotation(parser_t *p, torch_node_t *target)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_ANNOTATION);

    if (n == NULL || target->kind != SYNTAX_NAME) {
        fail(p, "a name in front of a type");
        return NULL;
    }

    n->name = target->name;
    n->len = target->len;

    if (next(p) != 0 || add(p, n, parse_expression(p)) != 0) {
        return NULL;
    }

    if (!is_sign(p, '=')) {
        return n;
    }

    return next(p) == 0 && add(p, n, parse_expression(p)) == 0 ? n : NULL;
}


/* "a, b, = value": the comma behind the last target is written, too */
static torch_node_t *
parse_targets(parser_t *p, torch_node_t *first)
{
    torch_node_t  *n, *target = first, *tuple = NULL;

    n = node(p, SYNTAX_ASSIGN);
    if (n == NULL) {
        return NULL;
    }

    if (is_sign(p, ',')) {
        tuple = node(p, SYNTAX_TUPLE);
        if (tuple == NULL) {
            return NULL;
        }
    }

    while (tuple != NULL) {
        if (add(p, tuple, target) != 0) {
            return NULL;
        }

        if (is_sign(p, ',') && next(p) != 0) {
            return NULL;
        }

        if (is_sign(p, '=')) {
            break;
        }

        target = parse_expression(p);
    }

    return add(p, n, tuple != NULL ? tuple : first) == 0
           && expect_sign(p, '=') == 0 && add(p, n, parse_value(p)) == 0
           ? n : NULL;
}


/* "a, b" in the place of a value is a tuple */
static torch_node_t *
parse_value(parser_t *p)
{
    torch_node_t  *tuple, *value;

    value = parse_expression(p);

    if (value == NULL || !is_sign(p, ',')) {
        return value;
    }

    tuple = node(p, SYNTAX_TUPLE);

    if (tuple == NULL || add(p, tuple, value) != 0) {
        return NULL;
    }

    while (is_sign(p, ',')) {
        if (next(p) != 0) {
            return NULL;
        }

        if (p->token.kind != TOKEN_NEWLINE
            && add(p, tuple, parse_expression(p)) != 0)
        {
            return NULL;
        }
    }

    return tuple;
}


/* ---- expressions ------------------------------------------------------ */

/* An operand followed by attributes, subscripts and calls. */
static torch_node_t *
parse_expression(parser_t *p)
{
    int            depth = p->depth;
    torch_node_t  *n;

    if (enter(p) != 0) {
        return NULL;
    }

    n = p->token.kind == TOKEN_NAME ? parse_word(p)
        : is_sign(p, '(') ? parse_parentheses(p) : parse_literal(p);

    while (n != NULL && (is_sign(p, '.') || is_sign(p, '[')
                         || is_sign(p, '(')))
    {
        /* a chain is a tree as deep as it is long */
        n = enter(p) == 0 ? parse_suffix(p, n) : NULL;
    }

    p->depth = depth;

    return n;
}


static torch_node_t *
parse_suffix(parser_t *p, torch_node_t *operand)
{
    char           sign = p->token.sign;
    torch_node_t  *n;

    n = node(p, sign == '.' ? SYNTAX_ATTR
                : sign == '[' ? SYNTAX_SUBSCRIPT : SYNTAX_CALL);

    if (n == NULL || next(p) != 0 || add(p, n, operand) != 0) {
        return NULL;
    }

    if (sign == '.') {
        return take_name(p, n) == 0 ? n : NULL;
    }

    return parse_items(p, n, sign == '[' ? ']' : ')') == 0 ? n : NULL;
}


static torch_node_t *
parse_word(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_NAME);
    if (n == NULL) {
        return NULL;
    }

    if (is_word(p, "None")) {
        n->kind = SYNTAX_NONE;

    } else if (is_word(p, "True") || is_word(p, "False")) {
        n->kind = SYNTAX_BOOL;
        n->i = is_word(p, "True");
    }

    return take_name(p, n) == 0 ? n : NULL;
}


static torch_node_t *
parse_literal(parser_t *p)
{
    torch_node_t  *n;

    if (is_sign(p, '-')) {
        return parse_negative(p);
    }

    if (is_sign(p, '{')) {
        return parse_dict(p);
    }

    n = node(p, SYNTAX_LIST);
    if (n == NULL) {
        return NULL;
    }

    if (is_sign(p, '[')) {
        return next(p) == 0 && parse_items(p, n, ']') == 0 ? n : NULL;
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
        fail(p, "an expression");
        return NULL;
    }

    return next(p) == 0 ? n : NULL;
}


/* the only arithmetic: the sign of a number */
static torch_node_t *
parse_negative(parser_t *p)
{
    torch_node_t  *n;

    if (next(p) != 0) {
        return NULL;
    }

    if (p->token.kind == TOKEN_NAME && p->token.len == 3
        && memcmp(p->token.s, "inf", 3) == 0)
    {
        n = node(p, SYNTAX_FLOAT);
        if (n != NULL) {
            n->f = -INFINITY;
        }

        return n != NULL && next(p) == 0 ? n : NULL;
    }

    if (p->token.kind != TOKEN_INT && p->token.kind != TOKEN_FLOAT) {
        fail(p, "a number");
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
parse_parentheses(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_TUPLE);

    if (n == NULL || next(p) != 0) {
        return NULL;
    }

    if (!is_sign(p, ')')) {
        if (add(p, n, parse_expression(p)) != 0) {
            return NULL;
        }

        if (is_sign(p, ')')) {
            return next(p) == 0 ? n->child[0] : NULL;
        }

        if (expect_sign(p, ',') != 0) {
            return NULL;
        }
    }

    return parse_items(p, n, ')') == 0 ? n : NULL;
}


/* Expressions with commas between, and maybe one behind, and the end. */
static int
parse_items(parser_t *p, torch_node_t *to, char end)
{
    while (!is_sign(p, end)) {
        if (add(p, to, parse_item(p, to->kind == SYNTAX_CALL)) != 0
            || (!is_sign(p, end) && expect_sign(p, ',') != 0))
        {
            return -1;
        }
    }

    return next(p);
}


static torch_node_t *
parse_item(parser_t *p, int is_argument)
{
    torch_node_t  *n, *keyword;

    n = parse_expression(p);

    if (n == NULL || !is_argument || !is_sign(p, '=')
        || n->kind != SYNTAX_NAME)
    {
        return n;
    }

    keyword = node(p, SYNTAX_KEYWORD);
    if (keyword == NULL) {
        return NULL;
    }

    keyword->name = n->name;
    keyword->len = n->len;

    return next(p) == 0 && add(p, keyword, parse_expression(p)) == 0
           ? keyword : NULL;
}


static torch_node_t *
parse_dict(parser_t *p)
{
    torch_node_t  *n;

    n = node(p, SYNTAX_DICT);

    if (n == NULL || next(p) != 0) {
        return NULL;
    }

    while (!is_sign(p, '}')) {
        if (add(p, n, parse_expression(p)) != 0 || expect_sign(p, ':') != 0
            || add(p, n, parse_expression(p)) != 0
            || (!is_sign(p, '}') && expect_sign(p, ',') != 0))
        {
            return NULL;
        }
    }

    return next(p) == 0 ? n : NULL;
}
