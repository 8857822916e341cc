# POST of an image gives its class: raw and in a form, in memory and in a
# file, whole, in pieces, chunked, pipelined, of every format.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Fixture::Infer;
use Test::Nginx::Socket;

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(config => <<'CONF') if !defined $block->config;
        location /predict {
            $TEST_NGINX_FASHION
            client_body_buffer_size 64k;
        }
CONF
    # Nothing that goes well deserves a line above notice.
    $block->set_value(no_error_log => "[error]\n[crit]\n[alert]")
        if !defined $block->no_error_log;
});

plan 'no_plan';
run_tests();

__DATA__

=== raw image
--- request eval
"POST /predict\n" . main::image('1-trouser.png')
--- response_headers
Content-Type: application/json
--- response_body eval
qr/\A\{"class": ?1, ?"confidence": ?0\.96373\d*\b.*\}\s*\z/



=== every class
--- request eval
[map { "POST /predict\n" . main::image($_) }
 qw(0-tshirt.png 1-trouser.png 2-pullover.png 3-dress.png 4-coat.png
    5-sandal.png 6-shirt.png 7-sneaker.png 8-bag.png 9-boot.png)]
--- error_code eval
[(200) x 10]
--- response_body eval
[map { qr/"class": ?$_->[0], ?"confidence": ?$_->[1]/ }
 [0, '0\.949'], [1, '0\.963'], [2, '0\.984'], [3, '0\.976'], [4, '0\.951'],
 [5, '0\.973'], [6, '0\.559'], [7, '0\.972'], [8, '0\.967'], [9, '0\.933']]



=== JPEG, GIF and BMP
--- more_headers eval
my $bmp = length main::image('1-trouser.bmp');
["", "", "Content-Length: $bmp"]
--- request eval
[map { "POST /predict\n" . main::image("1-trouser.$_") } qw(jpg gif bmp)]
--- error_code eval
[200, 200, 200]
--- response_body eval
[main::prediction(1), qr/"class": ?1, ?"confidence": ?0\.96373/,
 qr/"class": ?1, ?"confidence": ?0\.96373/]



=== the Content-Type of a raw image does not matter
--- more_headers eval
[map { "Content-Type: $_" } qw(image/png image/jpeg application/octet-stream
                               application/x-www-form-urlencoded)]
--- request eval
[("POST /predict\n" . main::image('9-boot.png')) x 4]
--- error_code eval
[(200) x 4]
--- response_body eval
[(main::prediction(9)) x 4]



=== a form, the part named file, image or data
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- request eval
[map { "POST /predict\n" . main::form($_, main::image('8-bag.png')) }
 qw(file image data)]
--- error_code eval
[200, 200, 200]
--- response_body eval
[(main::prediction(8)) x 3]



=== a form: other fields before and after, preamble and epilogue
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- request eval
use Fixture::Http;
my (undef, $body) = Fixture::Http::multipart('b',
    Fixture::Http::part('comment', "no\r\n--bb\r\n--not it"),
    Fixture::Http::part('profile', main::image('1-trouser.png')),
    Fixture::Http::part('file', main::image('8-bag.png'), 'bag.png'),
    Fixture::Http::part('after', 'x'));
"POST /predict\npreamble\r\n${body}epilogue"
--- response_body eval
main::prediction(8)



=== a form: quoted boundary, name unquoted, more headers in any case
--- more_headers
Content-Type: Multipart/Form-Data; charset=utf-8; boundary="a b=:c"
--- request eval
"POST /predict\n--a b=:c\r\n"
. "content-type: image/png\r\nCONTENT-DISPOSITION: form-data; name=file\r\n"
. "X-More: 1\r\n\r\n" . main::image('8-bag.png') . "\r\n--a b=:c--\r\n"
--- response_body eval
main::prediction(8)



=== a form: the boundary's beginning occurs in the image
--- more_headers
Content-Type: multipart/form-data; boundary=xyz
--- request eval
"POST /predict\n--xyz\r\nContent-Disposition: form-data; name=\"file\"\r\n"
. "\r\n" . main::image('1-trouser.png') . "\r\n--xy\r\n--\r\n-\r\n--xyz--\r\n"
--- response_body eval
main::prediction(1)



=== a form: file name with quotes, semicolons and name= in it
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- request eval
"POST /predict\n--b\r\nContent-Disposition: form-data; "
. "filename=\"a; name=x \\\"q\\\".png\"; name=\"image\"\r\n\r\n"
. main::image('1-trouser.png') . "\r\n--b--\r\n"
--- response_body eval
main::prediction(1)



=== the body in a temporary file
--- config
location /predict {
    $TEST_NGINX_FASHION
    client_body_in_file_only clean;
}
--- more_headers eval
["", "Content-Type: multipart/form-data; boundary=b"]
--- request eval
["POST /predict\n" . main::image('1-trouser.png'),
 "POST /predict\n" . main::form('file', main::image('1-trouser.png'))]
--- error_code eval
[200, 200]
--- response_body eval
[main::prediction(1), main::prediction(1)]



=== the body larger than its buffer: a temporary file
--- config
location /predict {
    $TEST_NGINX_FASHION
    client_body_buffer_size 1k;
}
--- more_headers eval
["", "Content-Type: multipart/form-data; boundary=b"]
--- request eval
use Fixture::Http;
use Fixture::Image;
my (undef, $body) = Fixture::Http::multipart('b',
    Fixture::Http::part('comment', 'x' x 20000),
    Fixture::Http::part('file', main::image('1-trouser.png')));
["POST /predict\n" . Fixture::Image::png(100, 100, sub {
     map { ($_[0] * $_[0] * 37 + $_[1] * 91 + $_) % 256 } 1 .. 3
 }), "POST /predict\n$body"]
--- error_code eval
[200, 200]
--- response_body eval
[qr/\A\{"class": ?\d/, main::prediction(1)]
--- error_log
a client request body is buffered to a temporary file



=== the body partly in memory, in several buffers
--- more_headers
Transfer-Encoding: chunked
--- request eval
use Fixture::Http;
"POST /predict\n" . Fixture::Http::chunked(main::image('1-trouser.png'), 7)
--- response_body eval
main::prediction(1)



=== a chunked body in a temporary file
--- config
location /predict {
    $TEST_NGINX_FASHION
    client_body_buffer_size 100;
}
--- more_headers
Transfer-Encoding: chunked
--- request eval
use Fixture::Http;
"POST /predict\n" . Fixture::Http::chunked(main::image('1-trouser.png'), 50)
--- response_body eval
main::prediction(1)



=== a chunked form
--- more_headers
Transfer-Encoding: chunked
Content-Type: multipart/form-data; boundary=b
--- request eval
use Fixture::Http;
"POST /predict\n"
. Fixture::Http::chunked(main::form('file', main::image('1-trouser.png')), 11)
--- response_body eval
main::prediction(1)



=== the body arrives in pieces
--- request eval
my $image = main::image('1-trouser.png');
[["POST /predict\n" . substr($image, 0, 100),
  { value => substr($image, 100, 100), delay_before => 0.1 },
  { value => substr($image, 200), delay_before => 0.1 }]]
--- response_body eval
main::prediction(1)



=== HTTP/1.0
--- request eval
"POST /predict HTTP/1.0\n" . main::image('1-trouser.png')
--- raw_response_headers_like: Connection: close
--- response_body eval
main::prediction(1)



=== pipelined on one connection, good and bad
--- pipelined_requests eval
["POST /predict\n" . main::image('1-trouser.png'),
 "POST /predict\nno image at all",
 "GET /predict",
 "POST /predict\n" . main::image('8-bag.png')]
--- error_code eval
[200, 415, 200, 200]
--- response_body eval
[main::prediction(1), qr/^\{"error"/, qr/"model"/, main::prediction(8)]



=== large headers
--- config
location /predict { $TEST_NGINX_FASHION }
--- http_config
large_client_header_buffers 4 64k;
--- more_headers eval
"X-Large: " . ("x" x 60000) . "\nX-More: " . ("y" x 60000)
--- request eval
"POST /predict?" . ("z" x 2000) . "\n" . main::image('1-trouser.png')
--- response_body eval
main::prediction(1)



=== two locations, one model: each has its settings
--- config
location /a { $TEST_NGINX_FASHION }
location /b { $TEST_NGINX_FASHION $TEST_NGINX_LABELS infer_top_k 1; }
--- request eval
["POST /a\n" . main::image('1-trouser.png'), "POST /b\n" . main::image('1-trouser.png')]
--- error_code eval
[200, 200]
--- response_body eval
[qr/\A(?!.*(?:label|top))\{"class": ?1/s,
 qr/\A\{"class": ?1,.*"label": ?"Trouser".*"top": ?\[/s]



=== an image of another size is resized
--- config
location /predict {
    infer_model $TEST_NGINX_MODELS/fashion.onnx;
    infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
}
--- request eval
use Fixture::Image;
"POST /predict\n" . Fixture::Image::png(300, 200, sub { ($_[0] % 256) x 3 })
--- response_body eval
qr/\A\{"class": ?\d/



=== proxied to another server of the same nginx
--- config
location /predict { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    location /predict { $TEST_NGINX_FASHION }
}
--- request eval
"POST /predict\n" . main::image('1-trouser.png')
--- response_body eval
main::prediction(1)
