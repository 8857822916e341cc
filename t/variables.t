# $infer_class, $infer_label, $infer_confidence, $infer_model, $infer_version,
# $infer_time, $infer_queue_time, $infer_error and $infer_status: in headers, in
# the access log, and after nginx has gone on to another location.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Fixture::Infer;
use Test::Nginx::Socket;

$ENV{TEST_NGINX_LOG} = server_root() . '/logs/access.log';

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(http_config => <<'CONF' . ($block->http_config // ''));
        log_format infer 'c=$infer_class l=$infer_label p=$infer_confidence '
                         'm=$infer_model v=$infer_version t=$infer_time '
                         'q=$infer_queue_time e=$infer_error s=$status;';
        access_log $TEST_NGINX_LOG infer;
CONF
    $block->set_value(config => <<'CONF') if !defined $block->config;
        location /predict {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=fashion
                        version=7;
            infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
            $TEST_NGINX_LABELS
        }
        location /other { return 404 "other\n"; }
CONF
    $block->set_value(no_error_log => "[crit]\n[alert]");
});

plan 'no_plan';
run_tests();

__DATA__

=== a prediction in the access log
--- request eval
"POST /predict\n" . main::image('9-boot.png')
--- access_log eval
qr/^c=9 l=Ankle boot p=0\.933\d+ m=fashion v=7 t=\d+\.\d{3,} q=\d+\.\d{3,} e=-? s=200;/



=== without labels and version
--- config
location /predict { $TEST_NGINX_FASHION }
--- request eval
"POST /predict\n" . main::image('9-boot.png')
--- access_log eval
qr/^c=9 l=-? p=0\.933\d+ m=fashion v=-? t=\d+\.\d+ q=\d+\.\d+ e=-? s=200;/



=== the log agrees with the answer
--- config
location /predict {
    $TEST_NGINX_FASHION
    $TEST_NGINX_LABELS
    add_header X-Infer "$infer_class,$infer_label,$infer_confidence";
}
--- request eval
"POST /predict\n" . main::image('2-pullover.png')
--- response_headers_like
X-Infer: 2,Pullover,0\.9842\d*
--- response_body_like: "confidence": ?0\.9842
--- access_log eval
qr/^c=2 l=Pullover p=0\.9842/



=== in add_header: all of them
--- config
location /predict {
    infer_model $TEST_NGINX_MODELS/fashion.onnx name=m version=v1;
    infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
    $TEST_NGINX_LABELS
    add_header X-A "$infer_class $infer_label $infer_model $infer_version";
    add_header X-B "$infer_time $infer_queue_time [$infer_error]";
}
--- request eval
"POST /predict\n" . main::image('8-bag.png')
--- response_headers_like
X-A: 8 Bag m v1
X-B: \d+\.\d+ \d+\.\d+ \[\]



=== an error: its reason, no class
--- request
POST /predict
text
--- error_code: 415
--- access_log eval
qr/^c=-? l=-? p=-? m=fashion v=7 .*e=[^-].* s=415;/



=== $infer_status: of a prediction
--- config
location /predict {
    $TEST_NGINX_FASHION
    add_header X-Status "[$infer_status]" always;
}
--- request eval
"POST /predict\n" . main::image('8-bag.png')
--- response_headers
X-Status: [200]



=== $infer_status: of an error
--- config
location /predict {
    $TEST_NGINX_FASHION
    add_header X-Status "[$infer_status]" always;
}
--- request
POST /predict
text
--- error_code: 415
--- response_headers
X-Status: [415]



=== $infer_status: of a description
--- config
location /predict {
    $TEST_NGINX_FASHION
    add_header X-Status "[$infer_status]" always;
}
--- request
GET /predict
--- response_headers
X-Status: []



=== errors before the body is read
--- request
PUT /predict
--- error_code: 405
--- access_log eval
qr/^c=-? l=-? p=-? m=fashion v=7 t=-? q=-? e=method not allowed s=405;/



=== a GET has a model and no more
--- request
GET /predict
--- access_log eval
qr/^c=-? l=-? p=-? m=fashion v=7 t=-? q=-? e=-? s=200;/



=== other locations have nothing
--- request
GET /other
--- error_code: 404
--- access_log eval
qr/^c=-? l=-? p=-? m=-? v=-? t=-? q=-? e=-? s=404;/



=== a map of the class
--- http_config
map $infer_class $kind { 5 shoe; 7 shoe; 9 shoe; default other; }
--- config
location /predict { $TEST_NGINX_FASHION add_header X-Kind $kind; }
--- request eval
[map { "POST /predict\n" . main::image($_) } qw(9-boot.png 8-bag.png)]
--- error_code eval
[200, 200]
--- response_headers eval
["X-Kind: shoe", "X-Kind: other"]



=== after error_page
--- config
location /predict {
    $TEST_NGINX_FASHION
    error_page 415 = /own;
}
location /own {
    add_header X-Error "$infer_model: $infer_error" always;
    return 422 "own page\n";
}
--- request
POST /predict
text
--- error_code: 422
--- response_headers_like
X-Error: fashion: .+
--- response_body
own page
--- access_log eval
qr/m=fashion.*e=[^-].* s=422;/



=== after error_page to a named location, for nginx's own error
--- config
location /predict {
    $TEST_NGINX_FASHION
    client_max_body_size 10;
    error_page 413 = @own;
}
location @own { return 413 "$infer_model too large\n"; }
--- request eval
"POST /predict\n" . main::image('8-bag.png')
--- error_code: 413
--- response_body
fashion too large



=== an internal redirect to a prediction
--- config
location /a { rewrite ^ /predict last; }
location /try { try_files /none @predict; }
location @predict { $TEST_NGINX_FASHION }
location /predict { $TEST_NGINX_FASHION internal; }
--- request eval
["POST /a\n" . main::image('8-bag.png'), "POST /try\n" . main::image('9-boot.png')]
--- error_code eval
[200, 200]
--- response_body eval
[main::prediction(8), main::prediction(9)]
--- access_log eval
[qr/^c=[89] .*s=200/]



=== a label of many bytes, with quotes
--- user_files eval
[['labels', CORE::join '', map { "\"$_\" \xe2\x82\xac " . ("x" x 300) . "\n" }
  0 .. 9]]
--- config
location /predict {
    $TEST_NGINX_FASHION
    infer_labels $TEST_NGINX_SERVER_ROOT/html/labels;
}
--- request eval
"POST /predict\n" . main::image('8-bag.png')
--- response_body_like eval
'"label": ?"\\\\"8\\\\" \xe2\x82\xac x{300}"'
--- access_log eval
qr/l=\\x228\\x22/



=== mirrored: the copy predicts, the answer is the original's
--- config
location /up { mirror /predict; mirror_request_body on; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /predict { internal; $TEST_NGINX_FASHION log_subrequest on; }
--- http_config
server { listen $TEST_NGINX_RAND_PORT_1; access_log off; return 200 "up\n"; }
--- request eval
"POST /up\n" . main::image('8-bag.png')
--- response_body
up
--- wait: 0.1
