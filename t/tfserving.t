# TensorFlow Serving's REST API: rows and columns, images in base64, several
# inputs, what is told of a model, and what is refused.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP;
use MIME::Base64;
use Test::More;

use Fixture::Http;
use Fixture::Infer;
use Fixture::Onnx;

my $nginx = started(
    root_location => 0,
    files => { 'html/sum.onnx' => Fixture::Onnx::model(
        nodes => [Fixture::Onnx::node('Add', ['a', 'b'], ['sum']),
                  Fixture::Onnx::node('Relu', ['sum'], ['relu'])],
        inputs => [['a', 1, 'N', 2], ['b', 1, 'N', 2]],
        outputs => [['sum', 1, 'N', 2], ['relu', 1, 'N', 2]]) },
    server => <<'CONF');
        location / { $TEST_NGINX_FASHION infer_max_batch 3; }
        location /v1/models/sum { infer_model $ROOT/html/sum.onnx; }
CONF
my $port = $nginx->{port};

sub ask {
    my ($uri, $body, @headers) = @_;
    my $res = Fixture::Http::ask($port, post($uri, ref $body
        ? JSON::PP->new->canonical->encode($body) : $body, @headers));

    return ($res->{code}, eval { decode_json($res->{body}) });
}

my $uri = '/v1/models/fashion:predict';
my @images = map { image($_) } qw(9-boot.png 1-trouser.png);
my @b64 = map { { b64 => encode_base64($_, '') } } @images;
my ($code, $json) = ask($uri, { instances => \@b64 });

is($code, 200, 'images');
my @scores = @{ $json->{predictions} };
is(scalar @scores, 2, 'two predictions');

for my $i (0, 1) {
    my ($best) = sort { $scores[$i][$b] <=> $scores[$i][$a] } 0 .. 9;
    is($best, [9, 1]->[$i], "class of image $i");
}

# The pixels as torchvision prepares them.
my @pixels = map { [[map { my $y = $_; [map { ($_ * 3 + $y) / 64 } 0 .. 27] }
                     0 .. 27]] } 0, 1;

($code, $json) = ask($uri, { instances => \@pixels });
is($code, 200, 'tensors');
my $rows = $json->{predictions};

for (['inputs', { inputs => \@pixels }],
     ['named inputs', { inputs => { input => \@pixels } }]) {
    is_deeply([ask($uri, $_->[1])]->[1], { outputs => $rows }, $_->[0]);
}

is_deeply([ask($uri, { instances => [map { { input => $_ } } @pixels] })]->[1],
          { predictions => $rows }, 'named instances');
is_deeply([ask('/v1/models/fashion/versions/1:predict',
               { instances => \@pixels, signature_name => 'x' })]->[1],
          { predictions => $rows }, 'by version');
is_deeply([ask('/predict', { instances => \@pixels },
               'Content-Type: application/json; charset=utf-8')]->[1],
          { predictions => $rows }, 'JSON to the plain route');
is_deeply([ask($uri, { inputs => $b64[0] })]->[1], { outputs => [$scores[0]] },
          'one image as inputs');
is_deeply([ask($uri, { inputs => { input => \@b64 } })]->[1],
          { outputs => \@scores }, 'named images as inputs');

my $sum = '/v1/models/sum:predict';

is_deeply([ask($sum, { instances => [{ a => [1, 2], b => [3, -4] },
                                     { b => [1, 1], a => [-5, 0] }] })]->[1],
          { predictions => [{ sum => [4, -2], relu => [4, 0] },
                            { sum => [-4, 1], relu => [0, 1] }] },
          'several inputs by row');
is_deeply([ask($sum, { inputs => { a => [[1, 2], [-5, 0]],
                                   b => [[3, -4], [1, 1]] } })]->[1],
          { outputs => { sum => [[4, -2], [-4, 1]],
                         relu => [[4, 0], [0, 1]] } },
          'several inputs by column');


# ---- what is refused --------------------------------------------------------

my $p = $pixels[0];

for ([400, 'nothing', $uri, '{}'],
     [400, 'no JSON', $uri, 'x'],
     [400, 'both', $uri, { instances => [$p], inputs => [$p] }],
     [400, 'no array', $uri, '{"instances":1}'],
     [400, 'an object', $uri, '{"instances":{"x":1}}'],
     [422, 'no rows', $uri, '{"instances":[]}'],
     [413, 'too many rows', $uri, { instances => [($p) x 4] }],
     [422, 'wrong shape', $uri, { instances => [$p->[0]] }],
     [422, 'flat', $uri, { instances => [[(0) x 784]] }],
     [422, 'text', $uri, '{"instances":["x"]}'],
     [400, 'unknown input', $uri, { instances => [{ x => $p }] }],
     [400, 'no base64', $uri, { instances => [{ b64 => '*' }] }],
     [400, 'base64 and more', $uri, '{"instances":[{"b64":"AAAA","x":1}]}'],
     [400, 'base64: number', $uri, { instances => [{ b64 => 1 }] }],
     [415, 'no image', $uri, { instances => [{ b64 => 'AAAA' }] }],
     [400, 'images and numbers', $uri, { instances => [$b64[0], $p] }],
     [400, 'cut short', $uri, '{"instances":[[[[0,0'],
     [400, 'trailing comma', $uri, '{"instances":[[1],]}'],
     [400, 'depth 10000', $uri, '{"instances":' . '[' x 10000 . ']' x 10000
                                . '}'],
     [422, 'depth 60', $uri, '{"instances":' . '[' x 60 . ']' x 60 . '}'],
     [400, 'an input is missing', $sum, { instances => [{ a => [1, 2] }] }],
     [400, 'missing in a row', $sum,
      { instances => [{ a => [1, 2] }, { a => [1, 2], b => [1, 2] }] }],
     [400, 'twice in a row', $sum,
      '{"instances":[{"a":[1,2],"a":[1,2],"b":[1,2]}]}'],
     [400, 'no names', $sum, { instances => [[1, 2]] }],
     [422, 'images for tensors', $sum,
      { instances => [{ a => $b64[0], b => [1, 2] }] }],
     [422, 'columns of two lengths', $sum,
      { inputs => { a => [[1, 2]], b => [[1, 2], [3, 4]] } }],
     [404, 'unknown model', '/v1/models/x:predict', { instances => [$p] }],
     [404, 'unknown version', '/v1/models/fashion/versions/2:predict', '{}'],
     [404, 'unknown verb', '/v1/models/fashion:classify', '{}'],
     [405, 'status with POST', '/v1/models/fashion', '{}']) {
    my ($want, $what, $where, $body) = @$_;
    my ($status, $answer) = ask($where, $body);

    is($status, $want, "$what: $want") or diag explain $answer;
    ok(length($answer->{error} // ''), "$what: with a reason");
}


# ---- what is told -----------------------------------------------------------

sub get {
    my $res = Fixture::Http::ask($port,
                                 Fixture::Http::request('GET', $_[0]));

    return decode_json($res->{body});
}

is_deeply(get($_), { model_version_status => [
    { version => '1', state => 'AVAILABLE',
      status => { error_code => 'OK', error_message => '' } }] }, "GET $_")
    for '/v1/models/fashion', '/v1/models/fashion/versions/1';

my $meta = get('/v1/models/sum/metadata');

is($meta->{model_spec}{name}, 'sum', 'metadata: name');
is_deeply($meta->{metadata}{signature_def}{signature_def}{serving_default}
          {inputs}{b},
          { dtype => 'DT_FLOAT', name => 'b', tensor_shape => {
              unknown_rank => JSON::PP::false,
              dim => [{ size => '-1', name => '' },
                      { size => '2', name => '' }] } }, 'metadata: an input');

stops_cleanly($nginx);
done_testing();
