# Configurations that cannot work: nginx refuses to start, with one line at
# [emerg] that names the file and the reason.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Fixture::Infer;
use Fixture::Onnx;
use Test::Nginx::Socket;

$ENV{TEST_NGINX_HTML} = html_dir();

# A model of nodes that take x: 1 x 28 x 28 and give y: 10.
sub model_of {
    my ($nodes, %more) = @_;

    return Fixture::Onnx::model(nodes => $nodes, input => ['N', 1, 28, 28],
                                output => ['N', 10], %more);
}

# The same with nodes that come first and give "h"; then a classifier.
sub before_classifier {
    my ($nodes, @initializers) = @_;

    return model_of(
        [@$nodes, Fixture::Onnx::node('Flatten', ['h'], ['f'], axis => 1),
         Fixture::Onnx::node('Gemm', [qw(f w b)], ['y'], transB => 1)],
        initializers => [
            @initializers,
            Fixture::Onnx::floats('w', [10, 784], [(0) x 7840]),
            Fixture::Onnx::floats('b', [10], [0 .. 9])]);
}

sub batch_norm {
    return before_classifier(
        [Fixture::Onnx::node('BatchNormalization', [qw(x s t m v)], ['h'],
                             @_)],
        map { Fixture::Onnx::floats($_, [1], [1]) } qw(s t m v));
}

our $fashion = slurp("$ENV{TEST_NGINX_MODELS}/fashion.onnx");

add_block_preprocessor(sub {
    my ($block) = @_;

    # What --- model gives is the file bad.onnx.
    $block->set_value(user_files => [['bad.onnx', $block->model]])
        if defined $block->model;
    $block->set_value(config => <<'CONF') if !defined $block->config;
        location /p {
            infer_model $TEST_NGINX_HTML/bad.onnx;
            infer_preprocess resize=28 crop=28;
        }
CONF
    return if defined $block->request;
    $block->set_value(must_die => '1');
    $block->set_value(no_error_log => "[alert]\n[crit]");
    # Exactly one line.
    $block->set_value(grep_error_log => qr/\[emerg\]/);
    $block->set_value(grep_error_log_out => "[emerg]\n");
});

plan 'no_plan';
run_tests();

__DATA__

=== no such file
--- config
location /p { infer_model $TEST_NGINX_HTML/none.onnx; }
--- error_log eval
qr/\[emerg\].*none\.onnx.*No such file/



=== the line is that of infer_model, in whichever file it stands
--- config
location /p {
    include $TEST_NGINX_HTML/p.conf;
}
location /q { return 204; }
--- user_files eval
[['p.conf', "# nothing\n\ninfer_model none.onnx;\n# nothing\n"]]
--- error_log eval
qr{\[emerg\].*none\.onnx.* in .*/p\.conf:3$}m



=== a directory
--- config
location /p { infer_model $TEST_NGINX_HTML; }
--- error_log eval
qr/\[emerg\].*html".*not a regular file|\[emerg\].*html.*directory/



=== an empty file
--- model eval
""
--- error_log eval
qr/\[emerg\].*bad\.onnx.*empty/



=== text
--- model
This is no model, whatever its name says.
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== an image
--- model eval
main::image('1-trouser.png')
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== truncated: half of it
--- model eval
substr $main::fashion, 0, length($main::fashion) / 2
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== truncated: the last byte is missing
--- model eval
substr $main::fashion, 0, -1
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== corrupt: zeros in the middle of the structure
--- model eval
my $bad = $main::fashion;
substr $bad, 0, 64, "\0" x 64;
$bad
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== a length that leads out of the file
--- model eval
"\x08\x08\x3a\xff\xff\xff\xff\x07"
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== an endless varint
--- model eval
"\x08" . "\xff" x 100
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== unsupported operators, all of them named
--- model eval
main::before_classifier([Fixture::Onnx::node('Frobnicate', ['x'], ['a']),
                   Fixture::Onnx::node('Transmogrify', ['a'], ['h'])])
--- error_log eval
qr/\[emerg\].*bad\.onnx.*Frobnicate.*Transmogrify/



=== an opset of the future
--- model eval
Fixture::Onnx::model(nodes => [Fixture::Onnx::node('Flatten', ['x'], ['y'])],
                     input => ['N', 1, 2, 5], output => ['N', 10],
                     opset => 99)
--- error_log eval
qr/\[emerg\].*bad\.onnx.*opset.*99/



=== BatchNormalization in training mode: the node and the remedy
--- model eval
main::batch_norm(training_mode => 1)
--- error_log eval
qr/\[emerg\].*bad\.onnx.*node_h.*(?:training.*eval\(\)|eval\(\).*training)/



=== Dropout in training mode
--- model eval
# training_mode is the third input, a boolean: a tensor of type 9, one true.
main::before_classifier(
    [Fixture::Onnx::node('Dropout', ['x', 'ratio', 'training'], ['h'])],
    Fixture::Onnx::floats('ratio', [], [0.5]),
    "\x10\x09" . "\x42\x08training" . "\x4a\x01\x01")
--- error_log eval
qr/\[emerg\].*bad\.onnx.*node_h.*(?:training.*eval\(\)|eval\(\).*training)/



=== BatchNormalization as it should be: it runs
--- model eval
main::batch_norm()
--- request eval
"POST /p\n" . main::image('1-trouser.png')
--- response_body eval
main::prediction(9)



=== an input that nothing makes
--- model eval
main::before_classifier([Fixture::Onnx::node('Relu', ['nowhere'], ['h'])])
--- error_log eval
qr/\[emerg\].*bad\.onnx.*nowhere/



=== a node that waits for itself
--- model eval
main::before_classifier([Fixture::Onnx::node('Add', ['x', 'b2'], ['a2']),
                   Fixture::Onnx::node('Relu', ['a2'], ['b2']),
                   Fixture::Onnx::node('Relu', ['b2'], ['h'])])
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== weights of another shape than the operator needs
--- model eval
main::model_of([Fixture::Onnx::node('Flatten', ['x'], ['f'], axis => 1),
          Fixture::Onnx::node('Gemm', [qw(f w)], ['y'], transB => 1)],
         initializers => [
             Fixture::Onnx::floats('w', [10, 700], [(0) x 7000])])
--- error_log eval
qr/\[emerg\].*bad\.onnx.*node_y/



=== weights with less data than their shape says
--- model eval
main::model_of([Fixture::Onnx::node('Flatten', ['x'], ['f'], axis => 1),
          Fixture::Onnx::node('Gemm', [qw(f w)], ['y'], transB => 1)],
         initializers => [
             Fixture::Onnx::floats('w', [10, 784], [(0) x 100])])
--- error_log eval
qr/\[emerg\].*bad\.onnx.*\bw\b/



=== dimensions whose product overflows
--- model eval
main::model_of([Fixture::Onnx::node('Flatten', ['x'], ['f'], axis => 1),
          Fixture::Onnx::node('Gemm', [qw(f w)], ['y'], transB => 1)],
         initializers => [
             Fixture::Onnx::floats('w', [1 << 40, 1 << 40], [0])])
--- error_log eval
qr/\[emerg\].*bad\.onnx/



=== labels: no such file
--- config
location /p { $TEST_NGINX_FASHION infer_labels $TEST_NGINX_HTML/none; }
--- error_log eval
qr/\[emerg\].*none".*No such file/



=== labels: fewer than classes
--- user_files
>>> few
one
two
--- config
location /p { $TEST_NGINX_FASHION infer_labels $TEST_NGINX_HTML/few; }
--- error_log eval
qr/\[emerg\].*10 classes.*2\b/



=== labels: more than classes
--- user_files eval
[['many', CORE::join '', map { "$_\n" } 1 .. 11]]
--- config
location /p { $TEST_NGINX_FASHION infer_labels $TEST_NGINX_HTML/many; }
--- error_log eval
qr/\[emerg\].*10 classes.*11\b/



=== labels: none
--- user_files eval
[['empty', '']]
--- config
location /p { $TEST_NGINX_FASHION infer_labels $TEST_NGINX_HTML/empty; }
--- error_log eval
qr/\[emerg\].*(?:10 classes.*0\b|empty)/



=== labels: not UTF-8
--- user_files eval
[['latin1', "a\nb\nc\nd\ne\n\xe4\ng\nh\ni\nj\n"]]
--- config
location /p { $TEST_NGINX_FASHION infer_labels $TEST_NGINX_HTML/latin1; }
--- error_log eval
qr/\[emerg\].*line 6 of ".*latin1"/



=== labels: a control character
--- user_files eval
[['control', "a\nb\x1b[1m\nc\nd\ne\nf\ng\nh\ni\nj\n"]]
--- config
location /p { $TEST_NGINX_FASHION infer_labels $TEST_NGINX_HTML/control; }
--- error_log eval
qr/\[emerg\].*line 2 of ".*control"/



=== preprocess: unknown setting
--- config
infer_preprocess size=3;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*size/



=== preprocess: no value
--- config
infer_preprocess resize;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*resize/



=== preprocess: negative size
--- config
infer_preprocess crop=-1;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*crop/



=== preprocess: a size that overflows
--- config
infer_preprocess resize=99999999999999;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*resize/



=== preprocess: std of zero
--- config
location /p {
    infer_model $TEST_NGINX_MODELS/fashion.onnx;
    infer_preprocess resize=28 crop=28 std=0;
}
--- error_log eval
qr/\[emerg\].*std/



=== preprocess: two means
--- config
infer_preprocess mean=1,2;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*mean/



=== preprocess: a mean that is no number
--- config
infer_preprocess mean=nan;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*mean/



=== preprocess: garbage after the number
--- config
infer_preprocess std=1,1,1x;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*std/



=== preprocess: unknown colour
--- config
infer_preprocess color=cmyk;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*color/



=== preprocess: exif neither on nor off
--- config
infer_preprocess exif=yes;
--- error_log eval
qr/\[emerg\].*infer_preprocess.*exif/



=== batch: of one
--- config
infer_batch size=1;
--- error_log eval
qr/\[emerg\].*infer_batch.*"size=1"/



=== batch: of none
--- config
infer_batch size=0;
--- error_log eval
qr/\[emerg\].*infer_batch.*"size=0"/



=== batch: too large
--- config
infer_batch size=257;
--- error_log eval
qr/\[emerg\].*infer_batch.*"size=257".*2 to 256/



=== batch: no number
--- config
infer_batch size=4x;
--- error_log eval
qr/\[emerg\].*infer_batch.*"size=4x"/



=== batch: neither off nor a size
--- config
infer_batch on;
--- error_log eval
qr/\[emerg\].*infer_batch.*"on"/



=== batch: no time
--- config
infer_batch size=4 delay=soon;
--- error_log eval
qr/\[emerg\].*infer_batch.*"delay=soon"/



=== batch: an empty time
--- config
infer_batch size=4 delay=;
--- error_log eval
qr/\[emerg\].*infer_batch.*"delay="/



=== batch: another parameter
--- config
infer_batch size=4 wait=1s;
--- error_log eval
qr/\[emerg\].*infer_batch.*"wait=1s"/



=== batch: off, and more
--- config
infer_batch off delay=1s;
--- error_log eval
qr/\[emerg\].*infer_batch.*"off"/



=== batch: twice
--- config
infer_batch off;
infer_batch size=2;
--- error_log eval
qr/\[emerg\].*infer_batch.*duplicate/



=== batch: larger than a request may be
--- config
location /p {
    infer_model $TEST_NGINX_MODELS/fashion.onnx;
    infer_preprocess resize=28 crop=28;
    infer_batch size=8; infer_max_batch 4;
}
--- error_log eval
qr/\[emerg\].*infer_batch.*size=8.*the 4 of infer_max_batch/



=== batch: larger than the queue
--- config
location /p {
    infer_model $TEST_NGINX_MODELS/fashion.onnx;
    infer_preprocess resize=28 crop=28;
    infer_batch size=16;
}
--- error_log eval
qr/\[emerg\].*infer_batch.*size=16.*the 8 requests.*infer_queue/



=== batch: a pool that is nowhere
--- config
location /p {
    infer_model $TEST_NGINX_MODELS/fashion.onnx;
    infer_preprocess resize=28 crop=28;
    infer_batch size=4; infer_thread_pool nowhere;
}
--- error_log eval
qr/\[emerg\].*unknown thread pool "nowhere"/



=== batch: a model for one at a time
--- model eval
Fixture::Onnx::model(nodes => [Fixture::Onnx::node('Relu', ['x'], ['y'])],
                     input => [1, 8], output => [1, 8])
--- config
location /p { infer_model $TEST_NGINX_HTML/bad.onnx; infer_batch size=4; }
--- error_log eval
qr/\[emerg\].*infer_batch: .*bad\.onnx" cannot share.*fixed/



=== batch: an output for all together
--- model eval
Fixture::Onnx::model(nodes => [Fixture::Onnx::node('ReduceMean', ['x'], ['y'], axes => [0])],
                     input => ['N', 8], output => [1, 8])
--- config
location /p { infer_model $TEST_NGINX_HTML/bad.onnx; infer_batch size=4; }
--- error_log eval
qr/\[emerg\].*infer_batch: .*bad\.onnx" cannot share.*output "y" does not have the batch/



=== batch: a result that depends on the others
--- model eval
Fixture::Onnx::model(nodes => [Fixture::Onnx::node('Softmax', ['x'], ['y'], axis => 0)],
                     input => ['N', 8], output => ['N', 8])
--- config
location /p { infer_model $TEST_NGINX_HTML/bad.onnx; infer_batch size=4; }
--- error_log eval
qr/\[emerg\].*infer_batch: .*bad\.onnx" cannot share.*output "y" depends on the other/
