# Test::Nginx::Socket as its documentation describes it, on an nginx without
# our module: every section and function that our tests use.  It runs on the
# original as well as on the stand-in in t/lib, which shows that both agree.
# That failures are noticed is the subject of t/standin-failures.t.

use strict;
use warnings;

BEGIN {
    push @INC, 't/lib';
    $ENV{TEST_NGINX_LOAD_MODULES} = '';
    $ENV{TEST_NGINX_WORD} = 'expanded';
    $ENV{STANDIN_SECRET} = 'kept';
}

use Test::Nginx::Socket;

repeat_each(2);
no_long_string();
worker_connections(77);
workers(1);
log_level('info');
timeout(5);
env_to_nginx('STANDIN_SECRET', 'standin_word=two');

plan tests => 240;

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(config => 'location /pre { return 200 "made here\n"; }')
        if defined $block->preprocess_me;
});

is(repeat_each(), 2, 'repeat_each returns its setting');

run_tests();

is(scalar(my @list = blocks()), 43, 'blocks counts the blocks');
like(html_dir(), qr{^\Q${\server_root()}\E/html$}, 'html_dir, server_root');
like(server_port(), qr/^\d+$/, 'server_port');

__DATA__

=== status 200 is expected by default
--- config
location /t { return 200 "hi\n"; }
--- request
GET /t
--- response_body
hi



=== without a URI the root is asked, without a location of ours it is there
--- config
--- request
GET
--- response_body_like: It works!



=== request line with a version, spaces and comments before it
--- config
location /t { return 200 "$request|$http_host|$http_connection\n"; }
--- request
# a comment
# another one
    GET /t?a=b HTTP/1.0
--- response_body
GET /t?a=b HTTP/1.0|localhost|close



=== a body gets a Content-Length and loses white space around it
--- config
location /t { return 200 "$content_length\n"; }
--- request eval
"POST /t\n  hello world \n\n"
--- response_body
11



=== a body with a Content-Length given is sent as it is
--- config
location /t { return 200 "$content_length\n"; }
--- more_headers
Content-Length: 16
--- request eval
"POST /t\n  hello world \n\n"
--- response_body
16



=== no body, no Content-Length
--- config
location /t { return 200 "[$content_length]\n"; }
--- request
POST /t
--- response_body
[]



=== more_headers, and a comment among them
--- config
location /t { return 200 "$http_x_a,$http_x_b,$http_host,$http_connection\n"; }
--- more_headers
X-A: one
# X-A: comment
X-B: two: three
Host: other
Connection: close, te
--- request
GET /t
--- response_body
one,two: three,other,close, te



=== several requests: lists of everything
--- config
location /a { add_header X-N 1; return 200 "a$http_x_h\n"; }
location /b { add_header X-N 2 always; return 404 "b$http_x_h\n"; }
--- more_headers eval
["X-H: 7", "X-H: 8"]
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[200, 404]
--- response_headers eval
["X-N: 1", "X-N: 2"]
--- response_body eval
["a7\n", "b8\n"]



=== the bytes of a body arrive
--- config
location /f {
    root $TEST_NGINX_SERVER_ROOT/html;
    dav_methods PUT;
    create_full_put_path on;
    default_type application/octet-stream;
}
--- more_headers eval
["Content-Length: 12", ""]
--- request eval
["PUT /f/x\nab\0\r\n\n\xff\xfe\x80end", "GET /f/x"]
--- error_code_like eval
['^20[14]$', '^200$']
--- response_body eval
[qr/^/, "ab\0\r\n\n\xff\xfe\x80end"]



=== packets: the body comes in parts, the second one later
--- config
location /f {
    root $TEST_NGINX_SERVER_ROOT/html;
    dav_methods PUT;
    create_full_put_path on;
}
--- request eval
[["PUT /f/y\nfirst,", { value => "second,", delay_before => 0.2 }, "third"],
 "GET /f/y"]
--- error_code_like eval
['^20[14]$', '^200$']
--- response_body eval
[qr/^/, "first,second,third"]



=== chunked bodies are not touched
--- config
location /f {
    root $TEST_NGINX_SERVER_ROOT/html;
    dav_methods PUT;
    create_full_put_path on;
}
--- more_headers eval
["Transfer-Encoding: chunked", ""]
--- request eval
["PUT /f/z\n5\r\nhello\r\n0\r\n\r\n", "GET /f/z"]
--- error_code_like eval
['^20[14]$', '^200$']
--- response_body eval
[qr/^/, "hello"]



=== pipelined requests: one connection, answers in order
--- config
location /a { return 200 "$connection_requests $http_connection\n"; }
--- pipelined_requests eval
["GET /a", "GET /a", "POST /a\nbody"]
--- error_code eval
[200, 200, 200]
--- response_body eval
["1 keep-alive\n", "2 keep-alive\n", "3 close\n"]



=== pipelined requests with headers of their own
--- config
location /a { return 200 "$http_x_n\n"; }
--- more_headers eval
["X-N: 1", "X-N: 2"]
--- pipelined_requests eval
["GET /a", "GET /a"]
--- error_code eval
[200, 200]
--- response_body eval
["1\n", "2\n"]



=== raw_request
--- config
location /t { return 200 "$http_x_raw\n"; }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Raw: yes\r\n\r\n"
--- response_body
yes



=== raw_request in parts, with a delay
--- config
location /t { return 200 "$http_x_raw\n"; }
--- raw_request eval
["GET /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-R", "aw: yes\r\n\r\n"]
--- raw_request_middle_delay
0.1
--- response_body
yes



=== a request that nginx does not understand
--- config
--- raw_request eval
"NONSENSE\r\n\r\n"
--- error_code: 400
--- response_body_like: 400 Bad Request



=== HEAD has no body
--- config
location /t { return 200 "hello\n"; }
--- request
HEAD /t
--- response_headers
Content-Length: 6
--- response_body eval
""



=== user_files, as text and with a date
--- config
location /files { alias $TEST_NGINX_SERVER_ROOT/html; }
--- user_files
>>> one.txt
first $TEST_NGINX_WORD
>>> dir/two.txt 199801171935.33
second
line
--- request eval
["GET /files/one.txt", "GET /files/dir/two.txt"]
--- error_code eval
[200, 200]
--- response_headers eval
["Content-Length: 15", "Last-Modified: Sat, 17 Jan 1998 19:35:33 GMT"]
--- response_body eval
["first expanded\n", "second\nline\n"]



=== user_files, as a data structure
--- config
--- user_files eval
[["bin.dat" => "\0\1\2\xff"], ["old.txt" => "x", "199801171935.33"]]
--- request eval
["GET /bin.dat", "GET /old.txt"]
--- error_code eval
[200, 200]
--- response_headers_like eval
["Content-Length: \\d", "Last-Modified: .*1998.*"]
--- response_body eval
["\0\1\2\xff", "x"]



=== response_body with the chomp filter, and a variable expanded
--- config
location /t { return 200 "is $TEST_NGINX_WORD"; }
--- request
GET /t
--- response_body chomp
is $TEST_NGINX_WORD



=== response_body as a regex
--- config
location /t { return 200 "number 42\n"; }
--- request
GET /t
--- response_body eval
qr/number \d+/



=== response_body_like, across lines
--- config
location /t { return 200 "one\ntwo\n"; }
--- request
GET /t
--- response_body_like
^one.two$



=== response_body_unlike
--- config
location /t { return 200 "one\n"; }
--- request
GET /t
--- response_body_unlike: two



=== response_headers: a value, and one that must not be there
--- config
location /t { add_header X-A "a b"; return 200; }
--- request
GET /t
--- response_headers
X-A: a b
! X-B



=== response_headers_like
--- config
location /t { add_header X-A "number 12"; return 200; }
--- request
GET /t
--- response_headers_like
X-A: number \d+
Server: nginx.*



=== raw_response_headers_like
--- config
location /t { return 302 /foo; }
--- request
GET /t
--- error_code: 302
--- raw_response_headers_like: Location: http://localhost(?::\d+)?/foo\r\n



=== error_code_like
--- config
location /t { return 503; }
--- request
GET /t
--- error_code_like: ^5\d\d$



=== error_log: literal lines
--- config
location /t { deny all; }
--- request
GET /t?(a+b)
--- error_code: 403
--- error_log
access forbidden by rule
/t?(a+b)



=== error_log: a list with a regex; no_error_log
--- config
location /t { deny all; }
--- request
GET /t
--- error_code: 403
--- error_log eval
["forbidden", qr/by r[u]le/]
--- no_error_log
[crit]
not in the log



=== the error log of an earlier request does not count
--- config
location /a { deny all; }
location /b { return 200 b; }
--- request eval
["GET /b", "GET /b"]
--- error_code eval
[200, 200]
--- no_error_log
forbidden



=== grep_error_log, one expectation for each round
--- config
location /t { deny all; }
--- request
GET /t
--- error_code: 403
--- grep_error_log eval
qr/forbidden by \w+/
--- grep_error_log_out eval
["forbidden by rule\n", "forbidden by rule\n"]



=== access_log and no_access_log
--- config
location /t { return 200 "ok"; }
--- request
GET /t?logged
--- access_log
GET /t?logged
--- no_access_log
GET /other



=== timeout and abort: the client leaves
--- config
location /slow { alias $TEST_NGINX_SERVER_ROOT/html; limit_rate 100; }
--- user_files eval
[["big.txt" => "x" x 10000]]
--- request
GET /slow/big.txt
--- timeout: 200ms
--- abort
--- ignore_response
--- wait: 0.1
--- error_log eval
qr/client (?:prematurely )?closed|client timed out|big.txt/



=== shutdown: the server sees the end of what the client sends
--- config
location /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nshort"
--- shutdown: 1
--- ignore_response
--- error_log
client prematurely closed connection



=== ignore_response
--- config
location /t { return 500 "no matter\n"; }
--- request
GET /t
--- ignore_response
--- no_error_log
[alert]



=== must_die
--- config
location /t { return a b c; }
--- must_die
--- error_log
invalid number of arguments in "return" directive
--- no_error_log
[crit]



=== must_die with an exit code
--- config
location /t { no_such_directive; }
--- must_die: 1
--- error_log
unknown directive "no_such_directive"



=== init and wait
--- config
--- init
open my $f, '>', html_dir() . '/made.txt' or die $!;
print $f "by init\n";
close $f;
--- request
GET /made.txt
--- response_body
by init
--- wait: 0.1



=== main_config, http_config
--- main_config
env X_STANDIN=5;
--- http_config
map $uri $standin { default "$TEST_NGINX_WORD"; }
--- config
location /t { return 200 "$standin\n"; }
--- log_level: debug
--- request
GET /t
--- response_body
expanded
--- error_log
[debug]



=== skip_nginx, skip_eval: two tests each, skipped
--- config
location /t { return 200 "no\n"; }
--- request
GET /t
--- response_body
never seen
--- skip_nginx
2: >= 0.0.1



=== skip_eval that is true, and one that is not
--- config
location /t { return 200 "no\n"; }
--- request
GET /t
--- response_body
never seen
--- skip_eval: 2: $^O



=== skip conditions that do not hold
--- config
location /t { return 200 "yes\n"; }
--- request
GET /t
--- response_body
yes
--- skip_nginx: 2: < 0.0.1
--- skip_eval: 2: $^O eq 'no such system'



=== a preprocessor gives the configuration
--- preprocess_me
--- request
GET /pre
--- response_body
made here
--- curl
--- curl_options: --max-time 9
