# Requests that are wrong: each gets its status and {"error": "..."}, and the
# worker lives on.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Compress::Zlib qw(compress);

use Fixture::Http;
use Fixture::Image;
use Fixture::Infer;
use Test::Nginx::Socket;

# An error's body; $what is a pattern for its text.
sub error {
    my ($what) = @_;

    return qr/\A\{"error": ?"[^"\n]*$what[^"\n]*"\}\s*\z/i;
}

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(config => <<'CONF') if !defined $block->config;
        location /predict {
            $TEST_NGINX_FASHION
        }
CONF
    # Whatever a client sends is no reason for more than a line at info.
    $block->set_value(no_error_log => "[crit]\n[alert]");
});

plan 'no_plan';
run_tests();

__DATA__

=== an empty body
--- more_headers
Content-Length: 0
--- request
POST /predict
--- error_code: 400
--- response_headers
Content-Type: application/json
--- response_body eval
main::error('empty')



=== an empty chunked body
--- more_headers
Transfer-Encoding: chunked
--- request eval
"POST /predict\n0\r\n\r\n"
--- error_code: 400
--- response_body eval
main::error('empty')



=== no length at all
--- request
POST /predict
--- error_code: 411
--- response_headers
Content-Type: application/json
--- response_body eval
main::error('length')



=== no length at all, HTTP/1.0
--- request
POST /predict HTTP/1.0
--- error_code: 411
--- response_body eval
main::error('length')



=== more than client_max_body_size, announced
--- config
location /predict { $TEST_NGINX_FASHION client_max_body_size 100; }
--- request eval
"POST /predict\n" . main::image('1-trouser.png')
--- error_code: 413
--- response_headers
Content-Type: application/json
--- response_body eval
main::error('client_max_body_size')



=== more than client_max_body_size, in chunks
--- config
location /predict { $TEST_NGINX_FASHION client_max_body_size 100; }
--- more_headers
Transfer-Encoding: chunked
--- request eval
"POST /predict\n" . Fixture::Http::chunked(main::image('1-trouser.png'), 60)
--- error_code: 413
--- response_body eval
main::error('client_max_body_size')



=== more than client_max_body_size, GET
--- config
location /predict { $TEST_NGINX_FASHION client_max_body_size 100; }
--- request eval
"GET /predict\n" . main::image('1-trouser.png')
--- error_code: 413
--- response_body eval
main::error('client_max_body_size')



=== an error_page of one's own for 413 goes first
--- config
location /predict {
    $TEST_NGINX_FASHION
    client_max_body_size 100;
    error_page 413 =499 /own;
}
location /own { return 200 "own page"; }
--- request eval
"POST /predict\n" . main::image('1-trouser.png')
--- error_code: 499
--- response_body chomp
own page



=== more pixels than infer_max_pixels
--- config
location /predict { $TEST_NGINX_FASHION infer_max_pixels 783; }
--- request eval
"POST /predict\n" . main::image('1-trouser.png')
--- error_code: 413
--- response_body eval
main::error('pixels')



=== exactly infer_max_pixels
--- config
location /predict { $TEST_NGINX_FASHION infer_max_pixels 784; }
--- request eval
"POST /predict\n" . main::image('1-trouser.png')
--- response_body eval
main::prediction(1)



=== a PNG header of 30000 x 30000, of 2^31, and of nothing
--- request eval
my $data = main::compress("\0" x 1000);
[map { "POST /predict\n" . Fixture::Image::png_of(@$_, $data) }
 [30000, 30000], [0x7fffffff, 0x7fffffff], [0xffffffff, 1], [0, 0], [1, 0]]
--- error_code_like eval
['^413$', '^4(?:00|13)$', '^4(?:00|13)$', '^400$', '^400$']
--- response_body eval
[main::error('pixels'), (main::error('')) x 4]



=== a BMP header of sizes that overflow
--- more_headers eval
[("Content-Length: 154") x 4]
--- request eval
[map { "POST /predict\n" . "BM" . pack('VvvVVVVvvVVVVVV', 154, 0, 0, 54, 40,
                                       @$_, 1, 24, 0, 0, 0, 0, 0, 0)
       . "\0" x 100 }
 [30000, 30000], [0x7fffffff, 0x7fffffff], [0x80000000, 1], [1, 0x80000000]]
--- error_code_like eval
[('^4(?:00|13)$') x 4]
--- response_body eval
[(main::error('')) x 4]



=== a GIF and a JPEG of 65535 x 65535
--- more_headers eval
my $jpeg = main::image('1-trouser.jpg');
["Content-Length: 100", "Content-Length: " . length $jpeg]
--- request eval
my $jpeg = main::image('1-trouser.jpg');
$jpeg =~ s/(\xff\xc0...)..../$1\xff\xff\xff\xff/s or die;
["POST /predict\n" . "GIF89a\xff\xff\xff\xff\x80\0\0" . "\0" x 87,
 "POST /predict\n" . $jpeg]
--- error_code_like eval
['^4(?:00|13)$', '^413$']
--- response_body eval
[main::error(''), main::error('pixels')]



=== text
--- request
POST /predict
This is not an image.
--- error_code: 415
--- response_headers
Content-Type: application/json
--- response_body eval
main::error('')



=== other things that are no image
--- more_headers eval
["Content-Type: application/json", "Content-Type: image/png",
 "Content-Type: text/html", "Content-Type: image/svg+xml"]
--- request eval
["POST /predict\n{\"image\": 1}", "POST /predict\nx",
 "POST /predict\n<html></html>", "POST /predict\n<svg/>"]
--- error_code eval
[(415) x 4]
--- response_body eval
[(main::error('')) x 4]



=== one byte, two, three: no format to recognise
--- more_headers eval
[map { "Content-Length: $_" } 1, 2, 3]
--- request eval
["POST /predict\n\x89", "POST /predict\n\xff\xd8", "POST /predict\nGIF"]
--- error_code_like eval
[('^4(?:15|00)$') x 3]
--- response_body eval
[(main::error('')) x 3]



=== truncated images: half of each format
--- more_headers eval
[map { "Content-Length: " . int(length(main::image("1-trouser.$_")) / 2) }
 qw(png jpg gif bmp)]
--- request eval
[map { my $image = main::image("1-trouser.$_");
       "POST /predict\n" . substr $image, 0, int(length($image) / 2) }
 qw(png jpg gif bmp)]
--- error_code eval
[(400) x 4]
--- response_headers eval
[("Content-Type: application/json") x 4]
--- response_body eval
[(main::error('')) x 4]



=== truncated images: the header alone
--- more_headers eval
[map { "Content-Length: $_" } 33, 60, 13, 54]
--- request eval
[map { "POST /predict\n" . substr main::image("1-trouser.$_->[0]"), 0, $_->[1] }
 [png => 33], [jpg => 60], [gif => 13], [bmp => 54]]
--- error_code eval
[(400) x 4]
--- response_body eval
[(main::error('')) x 4]



=== a corrupt PNG: no compressed data, short rows, wrong signature
--- request eval
my $png = main::image('1-trouser.png');
(my $no_signature = $png) =~ s/\r\n\x1a/\n\x1a/;
["POST /predict\n" . Fixture::Image::png_of(28, 28, "not compressed"),
 "POST /predict\n" . Fixture::Image::png_of(28, 28, main::compress("\0" x 100)),
 "POST /predict\n" . $no_signature]
--- error_code_like eval
['^400$', '^400$', '^4(?:00|15)$']
--- response_body eval
[(main::error('')) x 3]



=== corrupt: the second half of each format overwritten with 0xff
--- more_headers eval
[map { "Content-Length: " . length main::image("1-trouser.$_") } qw(png jpg gif)]
--- request eval
[map { my $image = main::image("1-trouser.$_");
       my $half = int(length($image) / 2);
       substr $image, $half, length($image) - $half,
              "\xff" x (length($image) - $half);
       "POST /predict\n$image" }
 qw(png jpg gif)]
--- error_code_like eval
['^400$', '^(?:400|200)$', '^(?:400|200)$']



=== every byte of a PNG wrong, one at a time: an answer each time
--- request eval
my $png = main::image('3-dress.png');
[map { my $bad = $png; vec($bad, $_ * 7, 8) ^= 0x55; "POST /predict\n$bad" }
 0 .. int((length($png) - 1) / 7)]
--- error_code_like eval
[('^(?:200|400|413|415)$') x int((length(main::image('3-dress.png')) + 6) / 7)]



=== multipart without a boundary in the header, or a bad one
--- more_headers eval
["Content-Type: multipart/form-data",
 "Content-Type: multipart/form-data; boundary=",
 "Content-Type: multipart/form-data; boundary=" . "x" x 71,
 "Content-Type: multipart/form-data; boundary=\"open",
 "Content-Type: multipart/form-data; charset"]
--- request eval
[("POST /predict\n" . main::form('file', main::image('8-bag.png'))) x 5]
--- error_code eval
[(400) x 5]
--- response_headers eval
[("Content-Type: application/json") x 5]
--- response_body eval
[(main::error('boundary|multipart')) x 5]



=== multipart with another boundary than the header says
--- more_headers
Content-Type: multipart/form-data; boundary=other
--- request eval
"POST /predict\n" . main::form('file', main::image('8-bag.png'))
--- error_code: 400
--- response_body eval
main::error('boundary')



=== multipart without a part of a known name
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- request eval
"POST /predict\n" . main::form('picture', main::image('8-bag.png'))
--- error_code: 400
--- response_body eval
main::error('part')



=== multipart with an empty part, and with text in it
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- request eval
["POST /predict\n" . main::form('file', ''), "POST /predict\n" . main::form('file', 'x')]
--- error_code eval
[400, 415]
--- response_body eval
[main::error('empty'), main::error('')]



=== multipart cut at every structure
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- request eval
my $form = main::form('file', main::image('8-bag.png'));
[map { "POST /predict\n" . substr $form, 0, $_ }
 1, 2, 3, 5, 10, 60, 80, length($form) - 10]
--- error_code eval
[(400) x 8]
--- response_body eval
[(main::error('')) x 8]



=== multipart: a header line that never ends, a part without headers
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- request eval
["POST /predict\n--b\r\nContent-Disposition: " . ("x" x 10000),
 "POST /predict\n--b\r\n\r\nno headers\r\n--b--\r\n",
 "POST /predict\n--b--\r\n",
 "POST /predict\n--b\r\n--b\r\n--b--"]
--- error_code eval
[(400) x 4]
--- response_body eval
[(main::error('')) x 4]



=== chunked encoding that is broken: nginx's own error, and no crash
--- more_headers
Transfer-Encoding: chunked
--- request eval
"POST /predict\nzz\r\nhello\r\n0\r\n\r\n"
--- error_code: 400



=== an error does not end a keepalive connection
--- pipelined_requests eval
["POST /predict\ntext", "POST /predict\n" . main::image('8-bag.png')]
--- error_code eval
[415, 200]
--- raw_response_headers_like eval
["Connection: keep-alive", "Connection: close"]



=== the error of one request is not that of the next
--- config
location /predict {
    $TEST_NGINX_FASHION
    add_header X-Error "[$infer_error]" always;
}
--- pipelined_requests eval
["POST /predict\ntext", "POST /predict\n" . main::image('8-bag.png')]
--- error_code eval
[415, 200]
--- response_headers_like eval
["X-Error: \\[.+\\]", "X-Error: \\[\\]"]
