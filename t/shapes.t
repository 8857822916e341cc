# infer_input_shape: in a location it is for its models; around locations it
# is for those models whose files leave their shape open.  It had stopped the
# server at any .infer file or model of another shape.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP qw(decode_json);
use Test::More;

use Fixture::Http;
use Fixture::Infer;
use Fixture::Onnx;

# Any height and width, known by names only.
my $open = Fixture::Onnx::model(
    nodes => [Fixture::Onnx::node('GlobalAveragePool', ['x'], ['p']),
              Fixture::Onnx::node('Flatten', ['p'], ['y'])],
    input => ['N', 3, 'H', 'W'], output => ['N', 3]);
my $location = <<'CONF';
    location /closed { $TEST_NGINX_FASHION }
    location /file { infer_model $ROOT/html/fashion.infer; }
    location /open { infer_model $ROOT/html/open.onnx; }
CONF

my $nginx = Fixture::Nginx->new;
my $infer = $ENV{INFER} // 'build/infer';

$nginx->write_file('html/open.onnx', $open);
system($infer, 'convert', $Fixture::Infer::model, '-o',
       $nginx->path('html/fashion.infer'), '--preprocess',
       'resize=28 crop=28 mean=0.2860 std=0.3530') == 0
    or BAIL_OUT("infer convert fails");

sub inputs {
    my ($path) = @_;
    my $res = Fixture::Http::ask($nginx->{port},
                                 Fixture::Http::request('GET', $path));

    return eval { decode_json($res->{body})->{inputs}[0]{shape} };
}

# What nginx -t says of a server.
sub refusal {
    my ($server) = @_;

    configured($nginx, server => $server);
    my ($status, $text) = $nginx->run('-t');

    return $status ? $text : 'accepted';
}

like(refusal($location), qr/open\.onnx: .*is open/, 'no shape: refused');
like(refusal("infer_input_shape Nx4;\n$location"),
     qr/open\.onnx: .*has 4 dimensions, not 2/,
     'one of another rank: refused where it is needed, and told why');
like(refusal(<<'CONF'), qr/fashion\.onnx: .*is 1, not 3/,
    location /closed { $TEST_NGINX_FASHION infer_input_shape Nx3x16x16; }
CONF
     'the location itself contradicts the file: refused');
like(refusal(<<'CONF'), qr/fashion\.infer: .*are fixed/,
    location /file { infer_model $ROOT/html/fashion.infer;
                     infer_input_shape Nx1x28x28; }
CONF
     'the location has a shape for an .infer file: refused');

configured($nginx, server => "infer_input_shape Nx3x16x16;\n$location");
ok($nginx->start, 'a shape around three locations')
    or diag $nginx->read_log('error.log');

is_deeply(inputs('/open'), [-1, 3, 16, 16], 'the open model has it');
is_deeply(inputs('/closed'), [-1, 1, 28, 28], 'the others have their own');
is_deeply(inputs('/file'), [-1, 1, 28, 28], 'an .infer file, too');
like(Fixture::Http::ask($nginx->{port}, post($_, image('9-boot.png')))->{body},
     prediction(9), "$_: a prediction") for '/closed', '/file';

stops_cleanly($nginx, qr{\[emerg\].*infer_model: });
done_testing();
