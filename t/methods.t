# What a prediction endpoint says to methods other than POST.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Fixture::Infer;
use Test::Nginx::Socket;

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(config => <<'CONF') if !defined $block->config;
        location /predict {
            infer_model $TEST_NGINX_MODELS/fashion.onnx
                        name=fashion version=7;
            infer_preprocess resize=28 crop=28;
        }
CONF
    $block->set_value(no_error_log => "[crit]\n[alert]");
});

plan 'no_plan';
run_tests();

__DATA__

=== GET describes the model
--- request
GET /predict
--- response_headers
Content-Type: application/json
--- response_body_like eval
'\A(?=.*"model": ?"fashion")(?=.*"version": ?"7")(?=.*"inputs": ?\[\{)'
. '(?=.*"outputs": ?\[\{)(?=.*"classes": ?10\b)\{.*\}\s*\z'



=== GET shows inputs and outputs with their shapes
--- request
GET /predict
--- response_body_like eval
'"shape": ?\[(?:-1|1), ?1, ?28, ?28\].*"shape": ?\[(?:-1|1), ?10\]'



=== GET with labels names them
--- config
location /predict { $TEST_NGINX_FASHION $TEST_NGINX_LABELS }
--- request
GET /predict
--- response_body_like: "classes": ?10\b



=== a name made of the file's, no version
--- config
location /predict { $TEST_NGINX_FASHION }
--- request
GET /predict
--- response_body_like: "model": ?"fashion"



=== HEAD: the same headers, no body
--- request
HEAD /predict
--- response_headers_like
Content-Type: application/json
Content-Length: [1-9]\d*
--- response_body eval
""



=== GET with a body: the body is ignored
--- request eval
"GET /predict\n" . main::image('1-trouser.png')
--- response_body_like: "model": ?"fashion"



=== GET on a keepalive connection with a body, then a POST
--- pipelined_requests eval
["GET /predict\nsome body", "POST /predict\n" . main::image('8-bag.png')]
--- error_code eval
[200, 200]
--- response_body eval
[qr/"model"/, main::prediction(8)]



=== OPTIONS
--- request
OPTIONS /predict
--- error_code: 204
--- response_headers
Allow: GET, HEAD, POST, OPTIONS
! Content-Type
--- response_body eval
""



=== other methods
--- request eval
[map { "$_ /predict" } qw(PUT DELETE PATCH MKCOL PROPFIND)]
--- error_code eval
[(405) x 5]
--- response_headers eval
[("Allow: GET, HEAD, POST, OPTIONS\nContent-Type: application/json") x 5]
--- response_body eval
[(qr/\A\{"error": ?"[^"]+"\}\s*\z/) x 5]



=== PUT with a body on a keepalive connection, then a POST
--- pipelined_requests eval
["PUT /predict\n" . main::image('1-trouser.png'),
 "POST /predict\n" . main::image('8-bag.png')]
--- error_code eval
[405, 200]
--- response_body eval
[qr/^\{"error"/, main::prediction(8)]



=== TRACE never reaches us
--- request
TRACE /predict
--- error_code: 405



=== limit_except inside of the location
--- config
location /predict {
    $TEST_NGINX_FASHION
    limit_except POST { deny all; }
}
--- request eval
["POST /predict\n" . main::image('8-bag.png'), "GET /predict"]
--- error_code eval
[200, 403]
--- response_body eval
[main::prediction(8), qr/403 Forbidden/]



=== if inside of the location
--- config
location /predict {
    $TEST_NGINX_FASHION
    if ($arg_deny) { return 402; }
    if ($arg_header) { add_header X-If yes; }
}
--- request eval
["POST /predict?header=1\n" . main::image('8-bag.png'), "POST /predict?deny=1\nx"]
--- error_code eval
[200, 402]
--- response_headers eval
["X-If: yes", ""]
--- response_body eval
[main::prediction(8), qr/402/]
