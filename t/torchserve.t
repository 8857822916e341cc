# TorchServe's API: an image as a body or in the form field "data" becomes the
# five most probable labels.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP;
use Test::More;

use Fixture::Http;
use Fixture::Infer;

my $nginx = started(root_location => 0, server => <<'CONF');
        location / { $TEST_NGINX_FASHION $TEST_NGINX_LABELS infer_top_k 10; }
        location /plain/ { infer_model $TEST_NGINX_MODELS/fashion.onnx
                           version=v2; infer_preprocess resize=28 crop=28; }
CONF
my $port = $nginx->{port};
my $boot = image('9-boot.png');
my $plain = decode_json(Fixture::Http::ask($port, post('/p', $boot))->{body});
my %five = map { $_->{label} => $_->{confidence} } @{ $plain->{top} }[0 .. 4];

for (['body', post('/predictions/fashion', $boot)],
     ['version', post('/predictions/fashion/1', $boot)],
     ['form', post('/predictions/fashion', form('data', $boot),
                   'Content-Type: multipart/form-data; boundary=b')]) {
    my $res = Fixture::Http::ask($port, $_->[1]);

    is($res->{code}, 200, $_->[0]);
    is_deeply(decode_json($res->{body}), \%five, "$_->[0]: five labels");
}

my $res = Fixture::Http::ask($port, post('/plain/predictions/fashion/v2',
                                         $boot));
is_deeply([sort keys %{ decode_json($res->{body}) }],
          [sort { $a <=> $b } keys %{ decode_json($res->{body}) }],
          'without labels: numbers');
is(scalar keys %{ decode_json($res->{body}) }, 5, 'five of them');

for ([404, post('/predictions/none', $boot)],
     [404, post('/predictions/fashion/2', $boot)],
     [404, post('/predictions/fashion/1/2', $boot)],
     [404, post('/predictions', $boot)],
     [415, post('/predictions/fashion', 'x' x 100)],
     [400, post('/predictions/fashion', '')],
     [405, Fixture::Http::request('GET', '/predictions/fashion')],
     [405, post('/ping', 'x')]) {
    $res = Fixture::Http::ask($port, $_->[1]);
    is($res->{code}, $_->[0], (split /\r\n/, $_->[1])[0] . ": $_->[0]");
    like($res->{body}, qr/\A\{"error": ?".+"\}\s*\z/, 'in JSON');
}

$res = Fixture::Http::ask($port, Fixture::Http::request('GET', '/ping'));
is_deeply(decode_json($res->{body}), { status => 'Healthy' }, 'ping');

stops_cleanly($nginx);
done_testing();
