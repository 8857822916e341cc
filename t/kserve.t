# KServe's Open Inference Protocol, version 2: JSON and binary tensors give the
# bits of `infer run`, images in place of tensors those of the plain route,
# and everything malformed its status.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64;
use Test::More;

use Fixture::Http;
use Fixture::Infer;
use Fixture::Kserve;
use Fixture::Onnx;

my $dir = tempdir(CLEANUP => 1);
my $nginx = started(
    root_location => 0,
    max_body => '64m',
    files => {
        'html/neg.onnx' => Fixture::Onnx::model(
            nodes => [Fixture::Onnx::node('Neg', ['x'], ['y'])],
            input => ['N', 8], output => ['N', 8]),
        'html/sum.onnx' => Fixture::Onnx::model(
            nodes => [Fixture::Onnx::node('Add', ['a', 'b'], ['sum']),
                      Fixture::Onnx::node('Relu', ['sum'], ['relu'])],
            inputs => [['a', 1, 'N', 3], ['b', 1, 'N', 3]],
            outputs => [['sum', 1, 'N', 3], ['relu', 1, 'N', 3]]),
        'html/long.onnx' => Fixture::Onnx::model(
            nodes => [Fixture::Onnx::node('Reshape', ['x', 's'], ['y'])],
            initializers => [Fixture::Onnx::longs('s', [2], [-1, 4])],
            inputs => [['x', 7, 'N', 4]], outputs => [['y', 7, 'N', 4]]),
    },
    server => <<'CONF');
        location / {
            $TEST_NGINX_FASHION $TEST_NGINX_LABELS
        }
        location /more/ {
            infer_model $ROOT/html/neg.onnx;
            infer_model $ROOT/html/sum.onnx;
            infer_model $ROOT/html/long.onnx;
            infer_max_batch 1000;
        }
CONF
my $port = $nginx->{port};
my $FASHION = '/v2/models/fashion/infer';

sub ask { return infer($port, @_) }


# ---- JSON and binary give the bits of the command --------------------------

sub npy {
    my ($shape, $data) = @_;
    my $head = "{'descr': '<f4', 'fortran_order': False, "
               . "'shape': ($shape), }";
    $head .= ' ' x (63 - (10 + length $head) % 64) . "\n";
    return "\x93NUMPY\1\0" . pack('v', length $head) . $head . $data;
}

srand 5;
my @x = map { unpack 'f<', pack 'f<', rand(4) - 2 } 1 .. 2 * 784;
my $x = pack 'f<*', @x;
my $expected;

open my $fh, '>:raw', "$dir/x.npy" or die $!;
print $fh npy('2, 1, 28, 28', $x);
close $fh;

system(($ENV{INFER} // 'build/infer') . " run $Fixture::Infer::model --input "
       . "input=$dir/x.npy --output-dir $dir >/dev/null") == 0
    or BAIL_OUT('infer run fails');
$expected = substr slurp("$dir/logits.npy"), -80;

my @nested = map { my $n = $_;
                   [[map { my $row = $n * 784 + $_ * 28;
                           [@x[$row .. $row + 27]] } 0 .. 27]] } 0, 1;
my @shape = (2, 1, 28, 28);

for (['flat JSON', tensor('input', 'FP32', \@shape, \@x)],
     ['nested JSON', tensor('input', 'FP32', \@shape, \@nested)],
     ['binary', binary_tensor('input', 'FP32', \@shape, $x)]) {
    my ($what, $input) = @$_;

    my $res = ask($FASHION, { inputs => [$input], id => "\x{e9}1" });
    is($res->{wrong}, '', "$what: the answer is as specified");
    is($res->{json}{id}, "\x{e9}1", "$what: id");
    is_deeply($res->{outputs}{logits}{shape}, [2, 10], "$what: shape");
    is(unpack('H*', pack 'f<*', @{ $res->{outputs}{logits}{data} }),
       unpack('H*', $expected), "$what: the bits of the command, in JSON");

    for my $how ({ parameters => { binary_data_output => JSON::PP::true } },
                 { outputs => [{ name => 'logits', parameters =>
                                 { binary_data => JSON::PP::true } }] }) {
        $res = ask($FASHION, { inputs => [$input], %$how });
        is($res->{wrong}, '', "$what: the binary answer is as specified");
        is(unpack('H*', $res->{outputs}{logits}{raw}), unpack('H*', $expected),
           "$what: the bits of the command, binary");
    }
}

my $res = infer_raw($port, $FASHION, $x, 0);
is(unpack('H*', pack 'f<*', @{ $res->{outputs}{logits}{data} }),
   unpack('H*', $expected), 'no JSON: a raw tensor');


# ---- images ----------------------------------------------------------------

my @images = map { image($_) } qw(9-boot.png 1-trouser.jpg 0-tshirt.png);
my @one = map { infer_raw($port, $FASHION, $_, 0)->{outputs}{logits}{data} }
          @images[0, 1, 2];
my @plain = map { decode_json(Fixture::Http::ask($port,
                      post('/predict', $_))->{body})->{class} } @images;

for my $i (0 .. 2) {
    my ($best) = sort { $one[$i][$b] <=> $one[$i][$a] } 0 .. 9;
    is($best, $plain[$i], "image $i: the class of the plain route");
}

for my $shape ([3], [3, 1]) {
    $res = ask($FASHION, { inputs => [binary_tensor('input', 'BYTES', $shape,
        join '', map { bytes_element($_) } @images)] });
    is_deeply($res->{outputs}{logits}{data}, [map { @$_ } @one],
              'three images are a batch, bit for bit');
}

$res = ask($FASHION, {
    inputs => [tensor('input', 'BYTES', [3],
                      [map { encode_base64($_, '') } @images])],
    outputs => [{ name => 'logits', parameters => { classification => 2 } }],
});
is($res->{wrong}, '', 'classification');
is_deeply([map { s/^[^:]*:(\d+):(.*)/$1 $2/r }
           @{ $res->{outputs}{logits}{data} }[0, 2, 4]],
          ['9 Ankle boot', '1 Trouser', '0 T-shirt/top'],
          'value:index:label of base64 images');
is_deeply($res->{outputs}{logits}{shape}, [3, 2], 'two of each');

$res = ask($FASHION, {
    inputs => [binary_tensor('input', 'BYTES', [1],
                             bytes_element($images[0]))],
    outputs => [{ name => 'logits', parameters =>
                  { classification => 1, binary_data => JSON::PP::true } }],
});
like($res->{outputs}{logits}{raw}, qr/^.\0\0\0[\d.]+:9:Ankle boot\z/s,
     'classification, binary');


# ---- numbers: exactly rounded, and told apart ------------------------------

# What Perl's strtod says, then rounded to float.
sub bits { return sprintf '%08x', 0x80000000 ^ unpack 'N', pack 'f>', $_[0] }

my @hard = qw(0 -0 0.1 1e-45 1.4e-45 3.4028234663852886e38 1e-60 16777217
    16777216.999999999 0.3333333333333333333333333333333333333 1E+2 2e-3
    123456789012345678 9007199254740993 1.00000005960464477539
    1.000000059604644775390625 1.0000000596046447753906251 1e22 1e23
    8.5e-27 0.00000000000000000000000000012345 7.038531e-26 99999999999999999999
    179769313486231570000 0.48500001430511475 1.1754943508222875e-38
    5.877471754111438e-39 12345678 123456789 1234567890.12345678);
push @hard, '0.' . '0' x 300 . '1' . 'e300', '1' . '0' x 30,
            '1' x 400 . 'e-400';
push @hard, map { sprintf '%.' . (1 + int rand 20) . 'g',
                  (rand() - 0.5) * 10 ** (int(rand 60) - 30) } 1 .. 2000;
push @hard, (0) x (-@hard % 8);

my $rows = @hard / 8;
$res = infer_raw($port, '/more/v2/models/neg/infer',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[' . $rows . ',8],'
    . '"data":[' . join(', ', @hard) . ']}],"parameters":'
    . '{"binary_data_output":true}}');
is($res->{code}, 200, 'numbers of all kinds') or diag $res->{error};
my @got = unpack '(a4)*', $res->{outputs}{y}{raw} // '';
my @wrong = grep { unpack('H*', reverse($got[$_] // '')) ne bits($hard[$_]) }
            0 .. $#hard;
is(join(' ', map { "$hard[$_]: " . unpack 'H*', reverse $got[$_] // '' }
             @wrong), '', 'all are rounded as strtod() does it');

# Perl makes an infinity of what rounds to the largest float.
sub rounded {
    my ($x) = @_;
    my $largest = (2 - 2 ** -23) * 2 ** 127;

    return $x > $largest ? $largest : $x < -$largest ? -$largest : $x;
}

my @patterns = (map { pack 'V', $_ } 0, 1, 2, 0x80000000, 0x007fffff, 0x00800000,
                0x7f7fffff, 0xff7fffff,
                map { my $v = int rand 2 ** 32;
                      ($v & 0x7f800000) == 0x7f800000 ? 0 : $v } 1 .. 7992);
# Powers of two and their neighbours are where digits are scarce.
@patterns[100 .. 100 + 253] = map { pack 'V', $_ << 23 } 1 .. 254;
@patterns[400 .. 400 + 253] = map { pack 'V', ($_ << 23) - 1 } 1 .. 254;
my $raw = join '', @patterns;
$res = ask('/more/v2/models/neg/infer', { inputs =>
    [binary_tensor('x', 'FP32', [1000, 8], $raw)] });
is($res->{wrong}, '', 'all finite floats are JSON');
my @back = map { unpack 'H*', pack 'V', unpack('V', $_) ^ 0x80000000 }
           @patterns;
is(join(' ', grep { unpack('H*', pack 'f<', rounded(
                        $res->{outputs}{y}{data}[$_])) ne $back[$_] }
             0 .. $#back), '', 'and can be told from their neighbours');

$res = ask('/more/v2/models/neg/infer', { inputs =>
    [binary_tensor('x', 'FP32', [1, 8], pack 'f<*', 1 .. 7, 'inf')] });
is($res->{code}, 500, 'infinity is no JSON');
$res = ask('/more/v2/models/neg/infer', { inputs =>
    [binary_tensor('x', 'FP32', [1, 8], pack 'f<*', 1 .. 7, 'inf')],
    parameters => { binary_data_output => JSON::PP::true } });
is(unpack('H*', substr $res->{outputs}{y}{raw}, 28), '000080ff',
   'but is binary');

my @longs = qw(9223372036854775807 -9223372036854775808 0 -1);
$res = infer_raw($port, '/more/v2/models/long/infer',
    '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,4],"data":['
    . join(',', @longs) . ']}],"parameters":{"binary_data_output":true}}');
is_deeply([unpack 'q<*', $res->{outputs}{y}{raw} // ''], \@longs,
          'integers are exact');


# ---- several inputs and outputs --------------------------------------------

my $SUM = '/more/v2/models/sum/infer';
my $a = tensor('a', 'FP32', [2, 3], [1 .. 6]);
my $b = binary_tensor('b', 'FP32', [2, 3], pack 'f<*', map { -3 * $_ } 1 .. 6);

$res = ask($SUM, { inputs => [$b, $a] });
is($res->{wrong}, '', 'JSON and binary in one request');
is_deeply($res->{outputs}{sum}{data}, [map { -2 * $_ } 1 .. 6], 'first');
is_deeply($res->{outputs}{relu}{data}, [(0) x 6], 'second');
$res = ask($SUM, { inputs => [$b, $a], outputs => [{ name => 'relu' }] });
is_deeply([keys %{ $res->{outputs} }], ['relu'], 'only what is asked for');


# ---- what is refused --------------------------------------------------------

my $ok = tensor('input', 'FP32', [1, 1, 28, 28], [(0) x 784]);
my $zeros = '[' . join(',', (0) x 784) . ']';

sub text {
    my ($data, $shape, $type) = @_;

    return '{"inputs":[{"name":"input","datatype":"' . ($type // 'FP32')
           . '","shape":' . ($shape // '[1,1,28,28]') . ",\"data\":$data}]}";
}

sub with { my ($value) = @_;
           return text('[' . join(',', $value, (0) x 783) . ']') }

my @bad = (
    [400, 'empty object', '{}'],
    [400, 'no JSON', 'x'],
    [400, 'an array', '[]'],
    [400, 'cut short', substr text($zeros), 0, 500],
    [400, 'something after it', text($zeros) . 'x'],
    [400, 'trailing comma', text('[' . '0,' x 784 . ']')],
    [400, 'no comma', text('[' . '0 ' x 784 . ']')],
    [400, 'one too few', text('[' . join(',', (0) x 783) . ']')],
    [400, 'one too many', text('[' . join(',', (0) x 785) . ']')],
    [400, 'no array', text('1')],
    [400, 'nested wrong', text("[$zeros]")],
    [400, 'nested half', text('[[[' . join(',', (0) x 784) . ']]]')],
    [400, 'unbalanced', text("[[$zeros]")],
    [400, 'mixed brackets', text('[' . join(',', (0) x 784) . '}')],
    [400, 'depth 10000', text('[' x 10000 . ']' x 10000)],
    [400, 'depth 10000, open', '{"inputs":' . '[' x 10000],
    [400, 'depth in parameters', '{"parameters":' . '{"a":' x 10000
                                 . '1' . '}' x 10000 . '}'],
    (map { [400, "number $_", with($_)] }
     qw(NaN Infinity -Infinity nan inf 1e39 -1e39 1e999 1e99999999999 01 1.
        .5 +1 1e 1e+ 0x10 - -- 1..2 "1" null true {} [] 1_0), "1\0", ''),
    [400, 'inputs twice', '{"inputs":[],' . substr text($zeros), 1],
    [400, 'no inputs', '{"inputs":[]}'],
    [400, 'inputs: object', '{"inputs":{}}'],
    [400, 'input: number', '{"inputs":[1]}'],
    [400, 'shape: text', text($zeros, '"x"')],
    [400, 'shape: negative', text($zeros, '[-1,1,28,28]')],
    [400, 'shape: fraction', text($zeros, '[1.0,1,28,28]')],
    [400, 'shape: long', text($zeros, '[1,1,1,1,1,1,1,28,28]')],
    [400, 'shape: past 64 bits', text($zeros,
                                      '[99999999999999999999,1,28,28]')],
    [422, 'shape: other rank', text($zeros, '[784]')],
    [422, 'shape: lies', text($zeros, '[1,1,28,29]')],
    [422, 'shape: empty batch', text('[]', '[0,1,28,28]')],
    [413, 'shape: overflow', text($zeros, '[4611686018427387905,1,28,28]')],
    [413, 'batch too large', text($zeros, '[33,1,28,28]')],
    [422, 'other dtype', text($zeros, undef, 'FP64')],
    [422, 'no dtype', text($zeros, undef, 'FLOAT')],
    [400, 'BYTES: no base64', text('["*"]', '[1]', 'BYTES')],
    [415, 'BYTES: no image', text('["AAAA"]', '[1]', 'BYTES')],
    [400, 'BYTES: too few', text('[]', '[1]', 'BYTES')],
    [400, 'BYTES: numbers', text('[1]', '[1]', 'BYTES')],
    [413, 'BYTES: overflow', text('[]', '[65535,65535,65535,65535,65535]',
                                  'BYTES')],
    [400, 'id: number', '{"id":1,' . substr text($zeros), 1],
    [400, 'timeout: text', '{"parameters":{"timeout":"x"},'
                           . substr text($zeros), 1],
    [504, 'timeout', '{"parameters":{"timeout":1},' . substr text($zeros), 1],
    [400, 'other output', '{"outputs":[{"name":"x"}],' . substr text($zeros), 1],
    [400, 'output twice', '{"outputs":[{"name":"logits"},{"name":"logits"}],'
                          . substr text($zeros), 1],
    [400, 'huge value', '{"id":"' . 'x' x 100_000 . '",'
                        . substr text($zeros), 1],
    [400, 'no UTF-8', "{\"id\":\"\xff\"," . substr text($zeros), 1],
);

for (@bad) {
    my ($code, $what, $body) = @$_;

    $res = infer_raw($port, $FASHION, $body);
    is("$res->{code} $res->{wrong}", "$code ", "$what: $code")
        or diag $res->{error};
}

sub refused {
    my ($code, $what, $uri, $request) = @_;

    $res = ask($uri, $request);
    is("$res->{code} $res->{wrong}", "$code ", "$what: $code")
        or diag $res->{error};
}

refused(400, 'input twice', $FASHION, { inputs => [$ok, $ok] });
refused(400, 'unknown input', $FASHION, { inputs => [{ %$ok, name => "a\nb" }] });
refused(400, 'missing input', $SUM, { inputs => [$a] });
refused(422, 'two batches', $SUM, { inputs => [$a,
    tensor('b', 'FP32', [1, 3], [1 .. 3])] });
refused(422, 'images for no image model', $SUM, { inputs => [$a,
    tensor('b', 'BYTES', [1], ['AAAA'])] });
refused(400, 'integer too large', '/more/v2/models/long/infer', { inputs => [
    { name => 'x', datatype => 'INT64', shape => [1, 4],
      data => [0, 0, 0, 1.5] }] });
refused(404, 'unknown model', '/v2/models/none/infer', { inputs => [$ok] });
refused(404, 'unknown version', '/v2/models/fashion/versions/2/infer',
        { inputs => [$ok] });

my $bin = binary_tensor('input', 'FP32', [1, 1, 28, 28], "\0" x 3136);

for (['too few bytes', 3132], ['too many bytes', 3140], ['no bytes', 0],
     ['more than there are', 2 ** 62], ['negative', -1]) {
    my %input = %$bin;

    $input{parameters} = { binary_data_size => $_->[1] };
    refused(400, "binary: $_->[0]", $FASHION, { inputs => [\%input] });
}

refused(400, 'data and binary data', $FASHION,
        { inputs => [{ %$bin, data => [] }] });
refused(400, 'BYTES cut short', $FASHION, { inputs => [
    binary_tensor('input', 'BYTES', [1], pack('V', 100) . 'x' x 99)] });
refused(400, 'BYTES of 4 GB', $FASHION, { inputs => [
    binary_tensor('input', 'BYTES', [1], pack('V', 0xffffffff) . 'x' x 99)] });
refused(400, 'BYTES: a rest', $FASHION, { inputs => [
    binary_tensor('input', 'BYTES', [1], bytes_element('x') . 'x')] });

for ([400, 'header larger than the body', text($zeros), 100_000],
     [400, 'header no number', text($zeros), 'x'],
     [400, 'header negative', text($zeros), -1],
     [400, 'header past 64 bits', text($zeros), '9' x 30],
     [400, 'header in the middle', text($zeros), 100],
     [422, 'no JSON: no multiple', 'x' x 3137, 0],
     [413, 'no JSON: too many', 'x' x (33 * 3136), 0]) {
    my ($code, $what, $body, $length) = @$_;

    $res = infer_raw($port, $FASHION, $body, $length);
    is("$res->{code} $res->{wrong}", "$code ", "$what: $code")
        or diag $res->{error};
}

# Bytes changed at random: any answer, but an answer.
my $text = JSON::PP->new->canonical->encode({ inputs => [$a,
    tensor('b', 'FP32', [2, 3], [[1, 2, 3], [4.5, -5e-1, 6]])],
    outputs => [{ name => 'sum', parameters => { classification => 2 } }] });
my %codes;

for (1 .. (under_sanitizer() ? 300 : 1500)) {
    my $t = $text;

    for (0 .. int rand 3) {
        substr($t, rand(length $t), rand(4),
               substr('[]{}",:0-.e\\ 19az', rand(17), 1));
    }

    $codes{ infer_raw($port, $SUM, $t)->{code} }++;
}

is(join(' ', grep { !/^(?:200|400|413|422|500)$/ } keys %codes), '',
   'changed bytes');
cmp_ok($codes{400} // 0, '>', 100, 'most of them are refused');


# ---- what is told with GET --------------------------------------------------

sub get {
    my ($uri) = @_;
    my $res = Fixture::Http::ask($port, Fixture::Http::request('GET', $uri));

    return ($res->{code}, eval { decode_json($res->{body}) }, $res);
}

my ($code, $json, $http) = get('/v2');
is($code, 200, '/v2');
ok((grep { $_ eq 'binary_tensor_data' } @{ $json->{extensions} }),
   'extensions');
is_deeply([get('/v2/health/live')]->[1], { live => JSON::PP::true }, 'live');
is_deeply([get('/v2/health/ready')]->[1], { ready => JSON::PP::true },
          'ready');
is_deeply([get('/v2/models/fashion')]->[1],
          { name => 'fashion', versions => ['1'], platform => 'onnx_onnxv1',
            inputs => [{ name => 'input', datatype => 'FP32',
                         shape => [-1, 1, 28, 28] }],
            outputs => [{ name => 'logits', datatype => 'FP32',
                          shape => [-1, 10] }] }, 'metadata');
is([get('/v2/models/fashion/versions/1/ready')]->[1]{ready}, JSON::PP::true,
   'ready by version');
is([get('/v2/models/fashion/config')]->[1]{max_batch_size}, 32, 'config');
is([get('/v2/models/none')]->[0], 404, 'no such model');
is([get('/v2/models/fashion/versions/9')]->[0], 404, 'no such version');
is([get('/v2/nonsense')]->[0], 404, 'no such route');

($code, undef, $http) = get($FASHION);
is("$code $http->{headers}{allow}", '405 POST, OPTIONS', 'infer wants POST');
$http = Fixture::Http::ask($port, post('/v2/health/live', '{}'));
is("$http->{code} $http->{headers}{allow}", '405 GET, HEAD, OPTIONS',
   'live wants GET');

my $before = [get('/v2/models/fashion/stats')]->[1]{model_stats}[0];
ask($FASHION, { inputs => [binary_tensor('input', 'FP32', \@shape, $x)] });
my $after = [get('/v2/models/fashion/stats')]->[1]{model_stats}[0];
is($after->{inference_count} - $before->{inference_count}, 2,
   'stats: two inferences');
is($after->{inference_stats}{success}{count}
   - $before->{inference_stats}{success}{count}, 1, 'in one request');
cmp_ok($after->{inference_stats}{compute_infer}{ns}, '>',
       $before->{inference_stats}{compute_infer}{ns}, 'that took time');

$http = Fixture::Http::ask($port, post('/v2/repository/index', '{}'));
is_deeply(decode_json($http->{body}),
          [{ name => 'fashion', version => '1', state => 'READY',
             reason => '' }], 'repository index');

stops_cleanly($nginx, qr/JSON has no way|no answer within/);
done_testing();
