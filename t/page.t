# infer_status for a browser: the page in the module is status.html as it is
# in the tree, with its parts, and has headers that let nothing else run; who
# asks for something else gets JSON.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Digest::SHA qw(sha256_base64);
use JSON::PP;
use Test::More;

use Fixture::Http;
use Fixture::Infer;

my $nginx = started(root_location => 0, server => <<'CONF');
        location = /predict { $TEST_NGINX_FASHION $TEST_NGINX_LABELS }
        location / {
            $TEST_NGINX_FASHION
            location = /status { infer_status; }
        }
        location ~ ^/re/ { infer_model $TEST_NGINX_MODELS/fashion.onnx
                           name=hidden; infer_preprocess resize=28 crop=28; }
        location = /openapi.json { infer_openapi; }
CONF

sub get {
    my ($path, $accept, $method) = @_;

    return Fixture::Http::ask($nginx->{port}, Fixture::Http::request(
        $method // 'GET', $path,
        headers => [defined $accept ? "Accept: $accept" : ()]));
}

my $source = 'ngx_infer_module/status.html';

is(scalar qx(perl ngx_infer_module/page.pl $source),
   slurp('ngx_infer_module/ngx_http_infer_page_html.c'),
   'ngx_http_infer_page_html.c is current (make page)');

my $browser = 'text/html,application/xhtml+xml,*/*;q=0.8';
my $html = qx(perl ngx_infer_module/page.pl --html $source);
my $page = get('/status', $browser);
my $h = $page->{headers};

is($page->{code}, 200, 'a page');
is($page->{body}, $html, 'and the one of the tree');
like($h->{'content-type'}, qr{^text/html; charset=utf-8$}, 'its type');
is($h->{'x-content-type-options'}, 'nosniff', 'no other type');
is($h->{'cache-control'}, 'no-store', 'not to be kept');
is($h->{vary}, 'Accept', 'it depends on Accept');

my $policy = $h->{'content-security-policy'};
like($policy, qr/default-src 'none'; /, 'nothing by default');
unlike($policy, qr/unsafe|https?:|\*/, 'nothing unsafe, no other host');

for my $tag (qw(script style)) {
    my ($text) = $html =~ m{<$tag>(.*?)</$tag>}s;
    like($policy, qr/$tag-src 'sha256-\Q@{[ sha256_base64($text) ]}\E=*'; /,
         "the hash of the $tag");
}

unlike($html, qr/\son\w+=|\sstyle=|https?:(?!\/\/www\.w3\.org\/2000\/svg)/,
       'no handlers, styles or addresses in the HTML');

is(get('/status', $browser, 'HEAD')->{headers}{'content-length'},
   length $html, 'HEAD');
is(get('/status', $browser, 'POST')->{code}, 405, 'POST');

for my $accept (undef, 'application/json', '*/*') {
    my $res = get('/status', $accept);
    my %model = map { $_->{name} => $_ }
                @{ decode_json($res->{body})->{models} };

    is($res->{headers}{'content-type'}, 'application/json',
       'JSON for ' . ($accept // 'no Accept'));
    is($res->{headers}{'cache-control'}, 'no-store', 'not to be kept');
    is($model{fashion}{path}, '/predict', 'where images are posted');
    ok(!exists $model{hidden}{path}, 'a regular expression is no path');
}

Fixture::Http::ask($nginx->{port}, post('/predict', image('9-boot.png')));
is_deeply(decode_json(get('/status')->{body})->{models}[0]{labels},
          { 9 => 'Ankle boot' }, 'labels of the classes that were answers');

my $doc = decode_json(get('/openapi.json')->{body});
my $infer = $doc->{paths}{'/v2/models/fashion/infer'}{post};
my $answer = $infer->{responses}{200};
ok($infer, 'OpenAPI');
is_deeply([map { $_->{content}{'application/octet-stream'}{schema}{format} }
           $infer->{requestBody}, $answer], ['binary', 'binary'],
          'binary tensors in a request and an answer');
is_deeply([map { [@$_{qw(name in)}] } @{ $infer->{parameters} }],
          [['Inference-Header-Content-Length', 'header']],
          'the header that tells of them');
ok($answer->{headers}{'Inference-Header-Content-Length'},
   'and that of the answer');
ok(!$doc->{paths}{'/v1/models/fashion:predict'}{post}{parameters},
   'which other protocols do not have');
is(get('/openapi.json', undef, 'POST')->{code}, 405, 'is only read');

stops_cleanly($nginx);

done_testing();
