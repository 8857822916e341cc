# infer_status in a browser and infer_openapi: headless Chromium loads the
# page, drops an image, sees the class and the table grow, without a violation
# of the page's policy or a word on its console; the document is OpenAPI.
# Screenshots are left in BUILD/page.

use strict;
use utf8;
use warnings;

use lib 't/lib';

use File::Spec::Functions qw(rel2abs);
use JSON::PP;
use Test::More;

use Fixture::Http;
use Fixture::Infer;

my $node = rel2abs('t/models');
my $shots = rel2abs(($ENV{BUILD} // 'build') . '/page');

my $nginx = started(
    main   => 'thread_pool one threads=1;',
    http   => 'infer_thread_pool one;
               infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;',
    server => <<'CONF');
        location = /predict {
            infer_model $TEST_NGINX_MODELS/fashion.onnx;
            $TEST_NGINX_LABELS
            infer_top_k 5;
        }
        location /ml/ {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=shoes;
            infer_model $TEST_NGINX_MODELS/fashion.onnx 'name=shoes {b}'
                        version=2024-11;
            $TEST_NGINX_LABELS
            infer_feedback 10;
        }
        location /v2/models { infer_model $TEST_NGINX_MODELS/fashion.onnx
                              name=part; }
        location = /status { infer_status; }
        location = /metrics { infer_metrics; }
        location = /openapi.json { infer_openapi; }
CONF

sub run_node {
    my ($script, @args) = @_;
    my $pid = open my $out, '-|', 'node', "$node/$script", @args
        or die "node: $!\n";
    local $/;
    my $text = <$out> // '';

    close $out;

    return ($? >> 8, $text);
}


# ---- OpenAPI ---------------------------------------------------------------

my $url = "http://127.0.0.1:$nginx->{port}";
my ($status, $text) = run_node('openapi.js', "$url/openapi.json");

is($status, 0, 'the document is valid OpenAPI') or diag $text;

my $doc = decode_json(Fixture::Http::ask($nginx->{port},
    Fixture::Http::request('GET', '/openapi.json'))->{body});

is($doc->{openapi}, '3.0.3', 'its version');

my @paths = sort keys %{ $doc->{paths} };
for my $path (qw(/predict /metrics /status /openapi.json /ml/
                 /ml/v2/models/shoes/infer
                 /ml/v1/models/shoes%20%7Bb%7D/versions/2024-11:predict
                 /ml/v2/models/shoes/feedback
                 /ml/predictions/shoes /v2/models/part/infer))
{
    ok($doc->{paths}{$path}, "path $path") or diag "@paths";
}

ok(!grep({ m{^/predict/|^/v1/models/part|^/v2/models$|part/feedback} } @paths),
   'nothing that is not served');

# Every path that can be asked for answers so.
for my $path (grep { $doc->{paths}{$_}{get} } @paths) {
    my $res = Fixture::Http::ask($nginx->{port},
                                 Fixture::Http::request('GET', $path));
    is($res->{code}, 200, "GET $path");
}

# And every error that a test can make is one that is told.
my $post = $doc->{paths}{'/predict'}{post};
for my $body ('', 'no image', image('1-trouser.png')) {
    my $res = Fixture::Http::ask($nginx->{port}, post('/predict', $body));
    ok($post->{responses}{ $res->{code} }, "$res->{code} is told");
}

is(join(' ', sort keys %{ $post->{responses} }),
   '200 400 404 405 411 413 415 422 500 503 504', 'all statuses');

my $schema = $doc->{paths}{'/ml/v2/models/shoes/infer'}{post}{requestBody}
             {content}{'application/json'}{schema}{properties}{inputs};
is_deeply($schema->{items}{oneOf}[0]{properties}{shape}{example},
          [1, 1, 28, 28], "the model's shape");


# ---- the page --------------------------------------------------------------

($status, $text) = run_node('page.js', "$url/status", $shots,
                            rel2abs('t/data/fashion/9-boot.png'),
                            rel2abs('t/data/fashion/1-trouser.png'));
is($status, 0, 'the browser has run') or diag $text;

my $seen = eval { decode_json($text) } // {};

is_deeply($seen->{console}, [], 'nothing on the console, no violation');
is_deeply($seen->{foreign}, [], 'no request to anywhere else');
is($seen->{blocked}, 1, 'the policy does stop another script');
is_deeply($seen->{models}, ['fashion', 'shoes', 'shoes {b}'],
          'models to choose from');
is($seen->{rows}, 4, 'models in the table');
like($seen->{dropped}, qr/^Ankle boot \d+\.\d %$/, 'the class of the image');
is($seen->{bars}, 5, 'and the next ones');
like($seen->{caption}, qr/9-boot\.png, 28 × 28, /, 'the picture');
like($seen->{times}, qr/infer\s*\d.*respond\s*\d/s, 'where time has gone');
is($seen->{counts}[1] - $seen->{counts}[0], 1, 'the table grows');
like($seen->{pasted}, qr/^Trouser /, 'an image that is pasted');
like($seen->{second}, qr/^Trouser /, 'another model, by its name');
like($seen->{keyboard}, qr/^Choose an image/, 'the keyboard reaches it');
like($seen->{error}, qr/^415: /, 'a file that is no image');
is_deeply($seen->{overflow}, [0, 0], 'nothing is wider than the screen');
is($seen->{unnamed}, 0, 'all controls have a name');
ok(-s "$shots/$_.png", "$shots/$_.png") for qw(1280 360 1280-dark);

stops_cleanly($nginx);

done_testing();
