# Every directive: what it does, where it may stand, how it is inherited, and
# which values it refuses.  The models are made here, so that the right class
# is known: `means` answers with the brightest of three channels, `halves`
# with 0 when the left half of an 8 x 8 image is brighter, `six` always with
# class 5 of 6.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Fixture::Image;
use Fixture::Infer;
use Fixture::Onnx;
use Test::Nginx::Socket;

our $models = [
    ['means.onnx', Fixture::Onnx::channel_means(8)],
    ['halves.onnx', Fixture::Onnx::linear(1, 8, sub {
        return ($_[3] < 4) == ($_[0] == 0) ? 0.1 : 0;
    }, 0, 0)],
    ['six.onnx', Fixture::Onnx::constant(0, 1, 2, 3, 4, 5)],
    ['six.labels', "zero\n\"one\"\ntwo\\2\nd\x{c3}\x{a4}rei\n\nfive\n"],
];

$ENV{TEST_NGINX_HTML} = html_dir();

sub red   { return "POST /p\n" . Fixture::Image::plain(8, 250, 20, 10) }
sub six   { return "POST /p\n" . Fixture::Image::plain(28, 9, 9, 9) }

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(user_files => $models)
        if !defined $block->user_files;
    $block->set_value(no_error_log => "[crit]\n[alert]")
        if !defined $block->must_die;
    $block->set_value(request => six())
        if !defined $block->request && !defined $block->must_die;
});

plan 'no_plan';
run_tests();

__DATA__

=== infer_model: name from the file, name= and version=
--- config
location /a { infer_model $TEST_NGINX_HTML/six.onnx; }
location /b { infer_model $TEST_NGINX_HTML/six.onnx version=2 name=other; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[200, 200]
--- response_body eval
[qr/\A(?!.*"version": ?"[^"]).*"model": ?"six"/s,
 qr/\A(?=.*"version": ?"2").*"model": ?"other"/s]



=== infer_model: a relative path starts at the configuration's directory
--- config
location /p { infer_model ../html/six.onnx; infer_preprocess resize=28 crop=28; }
--- response_body_like: ^\{"class": ?5\b



=== infer_model: twice in one location
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_model $TEST_NGINX_HTML/six.onnx;
}
--- must_die
--- error_log
"infer_model" directive is duplicate



=== infer_model: not in server
--- config
infer_model $TEST_NGINX_HTML/six.onnx;
--- must_die
--- error_log
"infer_model" directive is not allowed here



=== infer_model: no file
--- config
location /p { infer_model; }
--- must_die
--- error_log
invalid number of arguments in "infer_model" directive



=== infer_model: unknown parameter
--- config
location /p { infer_model $TEST_NGINX_HTML/six.onnx nmae=x; }
--- must_die
--- error_log eval
qr/\[emerg\].*invalid parameter "nmae=x"/



=== infer_model: empty name
--- config
location /p { infer_model $TEST_NGINX_HTML/six.onnx name=; }
--- must_die
--- error_log eval
qr/\[emerg\].*invalid parameter "name="/



=== infer_labels: names the classes, quotes and all
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_labels $TEST_NGINX_HTML/six.labels;
    infer_preprocess resize=28 crop=28;
    infer_top_k 6;
}
--- response_body_like eval
'"label": ?"five".*"top": ?\[.*"five".*d\xc3\xa4rei.*"two\\\\\\\\2".*'
. '"\\\\"one\\\\"".*"zero"'



=== infer_labels: in http, inherited; in a location, overridden
--- http_config
infer_labels $TEST_NGINX_HTML/six.labels;
--- user_files eval
[@$main::models, ['others', "a\nb\nc\nd\ne\nf\n"]]
--- config
infer_preprocess resize=28 crop=28;
location /a { infer_model $TEST_NGINX_HTML/six.onnx; }
location /b {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_labels $TEST_NGINX_HTML/others;
}
--- request eval
[map { (my $r = main::six()) =~ s{/p}{$_}; $r } qw(/a /b)]
--- error_code eval
[200, 200]
--- response_body eval
[qr/"label": ?"five"/, qr/"label": ?"f"/]



=== infer_labels: CRLF, a byte order mark, no newline at the end
--- user_files eval
[@$main::models, ['crlf', "\xef\xbb\xbfa\r\nb\r\nc\r\nd\r\ne\r\nf"]]
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_labels $TEST_NGINX_HTML/crlf;
    infer_preprocess resize=28 crop=28;
    infer_top_k 6;
}
--- response_body_like: "label": ?"f".*"label": ?"a"



=== infer_labels: duplicate
--- config
infer_labels $TEST_NGINX_HTML/six.labels;
infer_labels $TEST_NGINX_HTML/six.labels;
--- must_die
--- error_log
"infer_labels" directive is duplicate



=== infer_preprocess: resize and crop
--- config
location /p {
    infer_model $TEST_NGINX_HTML/halves.onnx;
    infer_preprocess resize=8 crop=8;
}
--- request eval
[map { my $flip = $_;
       "POST /p\n" . Fixture::Image::png(80, 40, sub {
           (($_[0] < 40) == !!$flip ? 255 : 0) x 3
       }) } 1, '']
--- error_code eval
[200, 200]
--- response_body eval
[qr/"class": ?0/, qr/"class": ?1/]



=== infer_preprocess: the crop is the centre
--- config
location /p {
    infer_model $TEST_NGINX_HTML/halves.onnx;
    infer_preprocess resize=10 crop=8;
}
--- request eval
"POST /p\n" . Fixture::Image::png(40, 10, sub {
    ($_[0] == 17 ? 255 : $_[0] < 12 || $_[0] > 30 ? 200 : 0) x 3
})
--- response_body_like: "class": ?0



=== infer_preprocess: color=rgb and bgr
--- config
infer_preprocess resize=8 crop=8 mean=0 std=1;
location /rgb {
    infer_model $TEST_NGINX_HTML/means.onnx;
    infer_preprocess resize=8 crop=8 mean=0 std=1 color=rgb;
}
location /bgr {
    infer_model $TEST_NGINX_HTML/means.onnx;
    infer_preprocess resize=8 crop=8 mean=0 std=1 color=bgr;
}
location /default { infer_model $TEST_NGINX_HTML/means.onnx; }
--- request eval
[map { (my $r = main::red()) =~ s{/p}{$_}; $r } qw(/rgb /bgr /default)]
--- error_code eval
[200, 200, 200]
--- response_body eval
[qr/"class": ?0/, qr/"class": ?2/, qr/"class": ?0/]



=== infer_preprocess: mean and std, one a channel
--- config
location /p {
    infer_model $TEST_NGINX_HTML/means.onnx;
    infer_preprocess resize=8 crop=8 mean=1,0.5,0 std=1,1,0.001;
}
--- request eval
main::red()
--- response_body_like: "class": ?2, ?"confidence": ?1



=== infer_preprocess: the confidence is that of the normalised values
--- config
location /p {
    infer_model $TEST_NGINX_HTML/means.onnx;
    infer_preprocess resize=8 crop=8 mean=0.5 std=5;
    infer_top_k 3;
}
--- request eval
"POST /p\n" . Fixture::Image::plain(8, 255, 0, 0)
--- response_body_like eval
# scores 1, -1, -1: e / (e + 2 / e)
'"class": ?0, ?"confidence": ?0\.78698\d*\b.*0\.10650\d*.*0\.10650'



=== infer_preprocess: color=gray for a gray model is its default
--- config
location /p {
    infer_model $TEST_NGINX_HTML/halves.onnx;
    infer_preprocess resize=8 crop=8 color=gray;
}
--- request eval
"POST /p\n" . Fixture::Image::png(8, 8, sub { $_[0] < 4 ? (0, 255, 0)
                                                        : (0, 0, 255) })
--- response_body_like: "class": ?0



=== infer_preprocess: exif on turns the picture, off and the default do not
--- config
location /on {
    infer_model $TEST_NGINX_HTML/halves.onnx;
    infer_preprocess resize=8 crop=8 exif=on;
}
location /off {
    infer_model $TEST_NGINX_HTML/halves.onnx;
    infer_preprocess resize=8 crop=8 exif=off;
}
location /default {
    infer_model $TEST_NGINX_HTML/halves.onnx;
    infer_preprocess resize=8 crop=8;
}
--- request eval
my $turned = Fixture::Image::jpeg_oriented(main::image('halves.jpg'), 3);
["POST /on\n" . main::image('halves.jpg'),
 map { "POST $_\n$turned" } qw(/on /off /default)]
--- error_code eval
[(200) x 4]
--- response_body eval
[map { qr/"class": ?$_/ } 0, 1, 0, 0]



=== infer_preprocess: in http, inherited
--- http_config
infer_preprocess resize=28 crop=28;
--- config
location /p { infer_model $TEST_NGINX_HTML/six.onnx; }
--- response_body_like: "class": ?5



=== infer_preprocess: duplicate
--- config
infer_preprocess resize=8;
infer_preprocess crop=8;
--- must_die
--- error_log
"infer_preprocess" directive is duplicate



=== infer_preprocess: a size that the model does not take
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_preprocess resize=64 crop=32;
}
--- must_die
--- error_log eval
qr/\[emerg\].*six\.onnx.*28/



=== infer_preprocess: gray for a model of three channels
--- config
location /p {
    infer_model $TEST_NGINX_HTML/means.onnx;
    infer_preprocess resize=8 crop=8 color=gray;
}
--- must_die
--- error_log eval
qr/\[emerg\].*means\.onnx.*channel/



=== infer_top_k
--- config
location /two {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_top_k 2;
}
location /more {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_top_k 100;
}
location /none {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_top_k 0;
}
infer_preprocess resize=28 crop=28;
--- request eval
[map { (my $r = main::six()) =~ s{/p}{$_}; $r } qw(/two /more /none)]
--- error_code eval
[200, 200, 200]
--- response_body eval
[qr/"top": ?\[\s*\{"class": ?5[^}]*0\.63\d*\},?\s*\{"class": ?4[^}]*\}\s*\]/,
 qr/"top": ?\[(?:\s*\{[^{}]*\},?){6}\s*\]/, qr/\A(?!.*"top")/s]



=== infer_top_k: inherited
--- http_config
infer_top_k 1;
--- config
infer_preprocess resize=28 crop=28;
location /p { infer_model $TEST_NGINX_HTML/six.onnx; }
--- response_body_like: "top": ?\[\{[^{}]*\}\]



=== infer_top_k: equal ones by class number
--- user_files eval
[['even.onnx', Fixture::Onnx::constant(1, 1, 1, 1)]]
--- config
location /p {
    infer_model $TEST_NGINX_HTML/even.onnx;
    infer_preprocess resize=28 crop=28;
    infer_top_k 4;
}
--- response_body_like eval
'"class": ?0, ?"confidence": ?0\.25.*' . CORE::join '.*', map { "\"class\": ?$_, ?\"confidence\": ?0\\.25" } 0 .. 3



=== infer_top_k: no number
--- config
infer_top_k many;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid (?:number|value)/



=== infer_top_k: negative
--- config
infer_top_k -1;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid (?:number|value)/



=== infer_top_k: duplicate
--- config
infer_top_k 1;
infer_top_k 2;
--- must_die
--- error_log
"infer_top_k" directive is duplicate



=== infer_thread_pool: a pool of one's own
--- main_config
thread_pool infer threads=1;
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_preprocess resize=28 crop=28;
    infer_thread_pool infer;
}
--- response_body_like: "class": ?5



=== infer_thread_pool: not declared
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_preprocess resize=28 crop=28;
    infer_thread_pool nowhere;
}
--- must_die
--- error_log
unknown thread pool "nowhere"



=== infer_thread_pool: duplicate
--- main_config
thread_pool a threads=1;
--- config
infer_thread_pool a;
infer_thread_pool a;
--- must_die
--- error_log
"infer_thread_pool" directive is duplicate



=== infer_threads: helpers
--- main_config
thread_pool infer threads=2;
--- http_config
infer_threads 2;
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_preprocess resize=28 crop=28;
    infer_thread_pool infer;
}
--- response_body_like: "class": ?5



=== infer_threads: 0
--- config
infer_threads 0;
--- must_die
--- error_log eval
qr/\[emerg\]/



=== infer_threads: no number
--- config
infer_threads x;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid (?:number|value)/



=== infer_threads: duplicate
--- config
infer_threads 1;
infer_threads 1;
--- must_die
--- error_log
"infer_threads" directive is duplicate



=== infer_max_pixels: with a unit, inherited
--- http_config
infer_max_pixels 1k;
--- config
infer_preprocess resize=28 crop=28;
location /p { infer_model $TEST_NGINX_HTML/six.onnx; }
--- request eval
["POST /p\n" . Fixture::Image::plain(32, 1, 2, 3),
 "POST /p\n" . Fixture::Image::plain(33, 1, 2, 3)]
--- error_code eval
[200, 413]



=== infer_max_pixels: no number
--- config
infer_max_pixels lots;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid value/



=== infer_max_pixels: duplicate
--- config
infer_max_pixels 1;
infer_max_pixels 1;
--- must_die
--- error_log
"infer_max_pixels" directive is duplicate



=== infer_queue: 0
--- config
infer_queue 0;
--- must_die
--- error_log eval
qr/\[emerg\]/



=== infer_queue: no number
--- config
infer_queue x;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid (?:number|value)/



=== infer_queue: duplicate
--- config
infer_queue 1;
infer_queue 1;
--- must_die
--- error_log
"infer_queue" directive is duplicate



=== infer_timeout: no time
--- config
infer_timeout soon;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid value/



=== infer_timeout: duplicate
--- config
infer_timeout 1s;
infer_timeout 1s;
--- must_die
--- error_log
"infer_timeout" directive is duplicate



=== infer_ignore_client_abort: neither on nor off
--- config
infer_ignore_client_abort maybe;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid value "maybe"/



=== infer_ignore_client_abort: duplicate
--- config
infer_ignore_client_abort on;
infer_ignore_client_abort on;
--- must_die
--- error_log
"infer_ignore_client_abort" directive is duplicate



=== infer_ignore_client_abort on: a client that half-closes gets its answer
--- config
location /p {
    infer_model $TEST_NGINX_HTML/six.onnx;
    infer_preprocess resize=28 crop=28;
    infer_ignore_client_abort on;
}
--- shutdown: 1
--- response_body_like: "class": ?5



=== infer_input_shape: no shape
--- config
infer_input_shape Nx3x;
--- must_die
--- error_log
infer_input_shape: "Nx3x" is no shape such as Nx3x224x224



=== infer_input_shape: duplicate
--- config
infer_input_shape Nx3x4x4;
infer_input_shape Nx3x4x4;
--- must_die
--- error_log
"infer_input_shape" directive is duplicate



=== infer_winograd_budget: no size
--- config
infer_winograd_budget lots;
--- must_die
--- error_log eval
qr/\[emerg\].*invalid value/



=== infer_winograd_budget: duplicate
--- config
infer_winograd_budget 1m;
infer_winograd_budget 1m;
--- must_die
--- error_log
"infer_winograd_budget" directive is duplicate
