/*
 * Text to tokens.  Inside of brackets lines do not end; elsewhere each line
 * ends with a token, and a change of indentation is one.
 *
 * Python's lexical analysis: docs.python.org/3/reference/lexical_analysis.html
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import/torch/syntax.h"


/* the longest number */
#define MAX_NUMBER  64


static int start_of_line(torch_lexer_t *lexer, torch_token_t *token);
static void skip_blank(torch_lexer_t *lexer);
static int read_number(torch_lexer_t *lexer, torch_token_t *token);
static int read_string(torch_lexer_t *lexer, torch_token_t *token);
static int read_escape(torch_lexer_t *lexer, char *c);
static int read_name(torch_lexer_t *lexer, torch_token_t *token);


void
torch_lexer_init(torch_lexer_t *lexer, infer_graph_t *g, const char *file,
    const char *text, size_t len)
{
    memset(lexer, 0, sizeof(*lexer));

    lexer->g = g;
    lexer->file = file;
    lexer->pos = text;
    lexer->end = text + len;
    lexer->line = 1;
    lexer->fresh = 1;
    lexer->n_indents = 1;
}


static int
fail(torch_lexer_t *lexer, const char *why)
{
    return infer_graph_fail(lexer->g, "%s:%d: %s", lexer->file, lexer->line,
                            why);
}


int
torch_next_token(torch_lexer_t *lexer, torch_token_t *token)
{
    char  c;

    memset(token, 0, sizeof(*token));

    if (lexer->fresh && lexer->brackets == 0) {
        if (start_of_line(lexer, token) != 0) {
            return -1;
        }

        if (token->kind != TOKEN_END || lexer->pos == lexer->end) {
            return 0;
        }
    }

    skip_blank(lexer);
    token->line = lexer->line;

    if (lexer->pos == lexer->end) {
        lexer->fresh = 1;
        token->kind = TOKEN_NEWLINE;
        return 0;
    }

    c = *lexer->pos;

    if (c == '\n') {
        lexer->pos++;
        lexer->line++;
        lexer->fresh = 1;
        token->kind = TOKEN_NEWLINE;
        return 0;
    }

    if (isdigit((unsigned char) c)) {
        return read_number(lexer, token);
    }

    if (isalpha((unsigned char) c) || c == '_') {
        return read_name(lexer, token);
    }

    if (c == '"' || c == '\'') {
        return read_string(lexer, token);
    }

    lexer->pos++;

    if (c == '-' && lexer->pos < lexer->end && *lexer->pos == '>') {
        lexer->pos++;
        token->kind = TOKEN_ARROW;
        return 0;
    }

    if (c == '\0' || strchr("()[]{},:=.-", c) == NULL) {
        return fail(lexer, "an operator that TorchScript does not write");
    }

    lexer->brackets += strchr("([{", c) != NULL;
    lexer->brackets -= strchr(")]}", c) != NULL && lexer->brackets > 0;

    token->kind = TOKEN_SIGN;
    token->sign = c;

    return 0;
}


/* An INDENT or DEDENT, if there is one; else the token stays an END. */
static int
start_of_line(torch_lexer_t *lexer, torch_token_t *token)
{
    int          column;
    const char  *p;

    if (lexer->dedents == 0) {

        for ( ;; ) {                       /* empty lines are none */
            p = lexer->pos;

            while (p < lexer->end && *p == ' ') {
                p++;
            }

            if (p == lexer->end || (*p != '\n' && *p != '#')) {
                break;
            }

            while (p < lexer->end && *p != '\n') {
                p++;
            }

            if (p < lexer->end) {
                p++;
                lexer->line++;
            }

            lexer->pos = p;
        }

        column = p == lexer->end ? 0 : (int) (p - lexer->pos);
        lexer->pos = p;

        if (column > lexer->indent[lexer->n_indents - 1]) {
            if (lexer->n_indents == TORCH_MAX_DEPTH) {
                return fail(lexer, "blocks are nested too deeply");
            }

            lexer->indent[lexer->n_indents++] = column;
            lexer->fresh = 0;
            token->kind = TOKEN_INDENT;
            token->line = lexer->line;
            return 0;
        }

        while (column < lexer->indent[lexer->n_indents - 1]) {
            lexer->n_indents--;
            lexer->dedents++;
        }

        if (column != lexer->indent[lexer->n_indents - 1]) {
            return fail(lexer, "the indentation fits no block");
        }
    }

    token->line = lexer->line;

    if (lexer->dedents > 0) {
        /* behind the last one the line goes on; at the end nothing does */
        lexer->fresh = --lexer->dedents > 0 || lexer->pos == lexer->end;
        token->kind = TOKEN_DEDENT;
        return 0;
    }

    lexer->fresh = 0;

    return 0;
}


static void
skip_blank(torch_lexer_t *lexer)
{
    for ( ; lexer->pos < lexer->end; lexer->pos++) {

        if (*lexer->pos == '#') {
            while (lexer->pos + 1 < lexer->end && lexer->pos[1] != '\n') {
                lexer->pos++;
            }

        } else if (*lexer->pos == '\n' && lexer->brackets > 0) {
            lexer->line++;

        } else if (*lexer->pos != ' ') {
            return;
        }
    }
}


static int
read_number(torch_lexer_t *lexer, torch_token_t *token)
{
    char    text[MAX_NUMBER], *end, c;
    size_t  n;
    int     is_float = 0;

    for (n = 0; lexer->pos < lexer->end; lexer->pos++) {
        c = *lexer->pos;

        if ((c == '+' || c == '-') && n > 0
            && (text[n - 1] == 'e' || text[n - 1] == 'E'))
        {
            /* an exponent's sign */

        } else if (!isalnum((unsigned char) c) && c != '.') {
            break;
        }

        if (n == MAX_NUMBER - 1) {
            return fail(lexer, "a number is too long");
        }

        is_float |= c == '.' || c == 'e' || c == 'E';
        text[n++] = c;
    }

    text[n] = '\0';
    errno = 0;

    if (is_float) {
        token->kind = TOKEN_FLOAT;
        token->f = strtod(text, &end);

    } else {
        token->kind = TOKEN_INT;
        token->i = strtoll(text, &end, 10);

        if (errno == ERANGE) {
            return fail(lexer, "an integer has more than 64 bits");
        }
    }

    return *end == '\0' ? 0 : fail(lexer, "a number is malformed");
}


static int
read_string(torch_lexer_t *lexer, torch_token_t *token)
{
    char         quote, *s;
    const char  *end;

    quote = *lexer->pos++;
    end = memchr(lexer->pos, '\n', (size_t) (lexer->end - lexer->pos));
    end = end != NULL ? end : lexer->end;

    s = infer_graph_alloc(lexer->g, (size_t) (end - lexer->pos) + 1);
    if (s == NULL) {
        return -1;
    }

    token->kind = TOKEN_STRING;
    token->s = s;

    while (lexer->pos < end && *lexer->pos != quote) {
        if (*lexer->pos != '\\') {
            *s++ = *lexer->pos++;

        } else if (read_escape(lexer, s++) != 0) {
            return -1;
        }
    }

    if (lexer->pos >= end) {
        return fail(lexer, "a string has no end");
    }

    lexer->pos++;
    token->len = (size_t) (s - token->s);

    return 0;
}


/* The escapes of c10::printQuotedString: one letter, or three octal digits. */
static int
read_escape(torch_lexer_t *lexer, char *c)
{
    int                value = 0, n = 0;
    const char        *at;
    static const char  from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";

    lexer->pos++;

    if (lexer->pos == lexer->end) {
        return fail(lexer, "a string has no end");
    }

    at = *lexer->pos != '\0' ? strchr(from, *lexer->pos) : NULL;

    if (at != NULL) {
        *c = to[at - from];
        lexer->pos++;
        return 0;
    }

    for ( ; n < 3 && lexer->pos < lexer->end && *lexer->pos >= '0'
            && *lexer->pos <= '7'; n++)
    {
        value = value * 8 + (*lexer->pos++ - '0');
    }

    if (n != 3 || value > 255) {
        return fail(lexer, "a string has an unknown escape");
    }

    *c = (char) value;

    return 0;
}


static int
read_name(torch_lexer_t *lexer, torch_token_t *token)
{
    const char  *start;

    start = lexer->pos;

    while (lexer->pos < lexer->end
           && (isalnum((unsigned char) *lexer->pos) || *lexer->pos == '_'))
    {
        lexer->pos++;
    }

    token->kind = TOKEN_NAME;
    token->len = (size_t) (lexer->pos - start);
    token->s = infer_graph_strdup(lexer->g, start, token->len);

    return token->s != NULL ? 0 : -1;
}
