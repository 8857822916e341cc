# infer_guard: an upload is classified before "if", "map" and proxy_pass act on
# it, and reaches the upstream byte for byte; what cannot be classified is
# refused, and no second image gets by behind a harmless one.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Compress::Zlib qw(compress);
use Digest::MD5 qw(md5_hex);
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep);

use Fixture::Http;
use Fixture::Image;
use Fixture::Infer;
use Fixture::Onnx;
use Fixture::Upstream;

my $main = Fixture::Upstream->start(name => 'main');
my $other = Fixture::Upstream->start(name => 'other');

$ENV{TEST_NGINX_GUARD} = "infer_guard $Fixture::Infer::model; "
    . 'infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;';
$ENV{TEST_NGINX_MAIN} = "proxy_pass http://127.0.0.1:$main->{port};";

my $nginx = started(
    root_location => 0,
    max_body => '10m',
    listen  => '',
    main    => 'thread_pool one threads=1;',
    files   => { 'html/slow.onnx' => slow_model(0.3), 'conf/users' =>
                 'eve:{PLAIN}secret', 'html/415.html' => 'own page' },
    http    => <<"CONF",
        infer_thread_pool one;
        upstream main { server 127.0.0.1:$main->{port}; }
        upstream other { server 127.0.0.1:$other->{port}; }
        map \$infer_class \$pool {
            default main;
            9 other;
        }
        map "\$infer_status:\$infer_class:\$infer_confidence" \$refuse {
            default 0;
            ~^200:1:0\\.9 1;
        }
        proxy_set_header X-Infer "\$infer_status \$infer_class \$infer_label";
        proxy_set_header X-Model "\$infer_model \$infer_version";
        proxy_set_header X-Error "\$infer_error";
CONF
    server  => <<'CONF');
        location /if {
            $TEST_NGINX_GUARD
            $TEST_NGINX_LABELS
            if ($infer_class = 9) { return 422 "no boots\n"; }
            if ($refuse) { return 403; }
            if ($infer_class = 8) {
                set $bag yes;
                $TEST_NGINX_MAIN
            }
            $TEST_NGINX_MAIN
        }
        location /map {
            infer_guard $TEST_NGINX_MODELS/fashion.onnx name=gate version=3;
            infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
            client_body_buffer_size 1k;
            proxy_pass http://$pool;

            location /map/inner/ { proxy_pass http://$pool; }
        }
        location /stream {
            $TEST_NGINX_GUARD
            proxy_request_buffering off;
            proxy_http_version 1.1;
            if ($infer_class = 9) { return 422; }
            $TEST_NGINX_MAIN
        }
        location /lenient {
            $TEST_NGINX_GUARD
            infer_guard_failure pass;
            infer_max_pixels 10000;
            if ($infer_status = 413) { return 403; }
            $TEST_NGINX_MAIN
        }
        location /page {
            $TEST_NGINX_GUARD
            error_page 415 /415.html;
            $TEST_NGINX_MAIN
        }
        location = /415.html { root $ROOT/html; }
        location /small {
            $TEST_NGINX_GUARD
            client_max_body_size 10k;
            $TEST_NGINX_MAIN
        }
        location /first {
            auth_basic guarded;
            auth_basic_user_file $ROOT/conf/users;
            try_files /none @second;
        }
        location @second {
            infer_guard $TEST_NGINX_MODELS/fashion.onnx name=second;
            infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
            if ($infer_class = 9) { return 422; }
            $TEST_NGINX_MAIN
        }
        location /once {
            infer_guard $TEST_NGINX_MODELS/fashion.onnx name=once;
            infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
            rewrite ^/once/a /once/b last;
            $TEST_NGINX_MAIN
        }
        location /two {
            infer_guard $TEST_NGINX_MODELS/fashion.onnx name=two_a;
            infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
            if ($infer_class = 8) { rewrite ^ /then last; }
            $TEST_NGINX_MAIN
        }
        location /then {
            infer_guard $TEST_NGINX_MODELS/fashion.onnx name=two_b;
            infer_preprocess resize=0 crop=0;
            infer_max_pixels 1;
            infer_guard_failure pass;
            $TEST_NGINX_MAIN
        }
        location /ask {
            $TEST_NGINX_GUARD
            rewrite ^ /predict last;
        }
        location /predict { $TEST_NGINX_FASHION }
        location /mirrored {
            mirror /mirror;
            $TEST_NGINX_GUARD
            $TEST_NGINX_MAIN
        }
        location = /mirror {
            internal;
            infer_guard $TEST_NGINX_MODELS/fashion.onnx name=mirror;
            infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
            proxy_pass http://other;
        }
        location /slow {
            infer_guard $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
            infer_queue 1;
            $TEST_NGINX_MAIN
        }
        location /late {
            infer_guard $ROOT/html/slow.onnx name=late;
            infer_preprocess resize=112 crop=112;
            infer_timeout 20ms;
            $TEST_NGINX_MAIN
        }
        location = /metrics { infer_metrics; }
        location = /status { infer_status; }
        location / { $TEST_NGINX_MAIN }
CONF
my $port = $nginx->{port};

sub ask {
    my ($request, %opt) = @_;
    my $res = Fixture::Http::ask($port, $request, timeout => 20, %opt);

    $res->{got} = eval { decode_json($res->{body}) } // {};

    return $res;
}

sub outcome {
    my ($model, $reason) = @_;
    my $text = Fixture::Http::ask($port, Fixture::Http::request('GET',
                                                       '/metrics'))->{body};

    return $text =~ /^infer_requests_total\{model="$model",[^}]*
                     reason="$reason"\}\ (\d+)/mx ? $1 : undef;
}

# The request has arrived with this body, and what it was classified as.
sub arrives {
    my ($res, $body, $infer, $what) = @_;

    is($res->{got}{md5}, md5_hex($body), "$what: arrives byte for byte")
        or diag "$res->{code}: $res->{body}";
    is($res->{got}{headers}{'x-infer'}, $infer, "$what: classified");
}

my $boot = image('9-boot.png');
my $trouser = image('1-trouser.jpg');
my $shirt = image('0-tshirt.png');
my $bag = image('8-bag.png');


# ---- if, map ---------------------------------------------------------------

my $res = ask(post('/if', $boot));
is("$res->{code} $res->{body}", "422 no boots\n", 'if: refused by its class');
is(ask(post('/if', $trouser))->{code}, 403, 'map in if: by its confidence');
arrives(ask(post('/if', $shirt)), $shirt, '200 0 T-shirt/top', 'if');
arrives(ask(post('/if', $bag)), $bag, '200 8 Bag', 'proxy_pass in if');

$res = ask(post('/map', $boot));
arrives($res, $boot, '200 9 ', 'map');
is($res->{got}{name}, 'other', 'map: the upstream that the class says');
is($res->{got}{headers}{'x-model'}, 'gate 3', 'name and version');
$res = ask(post('/map', $shirt));
is($res->{got}{name}, 'main', 'map: of another class to another one');
$res = ask(post('/map/inner/x', $boot));
arrives($res, $boot, '200 9 ', 'a location inside of a guarded one');
is($res->{got}{name}, 'other', 'is guarded, too');


# ---- bodies of all kinds ---------------------------------------------------

my $long = $shirt . join '', map { chr(int(rand 256)) } 1 .. 300_000;

arrives(ask(post('/map', $long)), $long, '200 0 ', 'a body in a file');
arrives(ask(Fixture::Http::request('POST', '/map', body =>
            Fixture::Http::chunked($long, 7777),
            headers => ['Transfer-Encoding: chunked'])), $long, '200 0 ',
        'in chunks');
arrives(ask(post('/stream', $long)), $long, '200 0 ',
        'proxy_request_buffering off');
is(ask(Fixture::Http::request('POST', '/stream', body =>
       Fixture::Http::chunked($boot, 100),
       headers => ['Transfer-Encoding: chunked']))->{code}, 422,
   'the same in chunks: refused');

for my $method (qw(PUT PATCH GET DELETE)) {
    $res = ask(Fixture::Http::request($method, '/if/x?y=1', body => $shirt));
    arrives($res, $shirt, '200 0 T-shirt/top', $method);
    is("$res->{got}{method} $res->{got}{uri}", "$method /if/x?y=1",
       "$method: with its URI");
    is(ask(Fixture::Http::request($method, '/if', body => $boot))->{code},
       422, "$method: refused");
}

my @packets = map { { value => $_, delay_before => 0.05 } }
              unpack '(a4000)*', post('/map', substr $long, 0, 20_000);
arrives(ask(\@packets), substr($long, 0, 20_000), '200 0 ', 'piece by piece');

for my $version ('--http1.1', '--http2-prior-knowledge') {
    my $h2 = started(root_location => 0,
                     listen => $version =~ /2/ ? 'http2' : '',
                     server => <<'CONF');
        location / {
            $TEST_NGINX_GUARD
            proxy_set_header X-Infer "$infer_status $infer_class ";
            if ($infer_class = 9) { return 422; }
            $TEST_NGINX_MAIN
        }
CONF
    my $file = $h2->write_file('html/upload', $long);
    my $bad = $h2->write_file('html/boot', $boot);
    my $curl = "curl -s $version -m 20";
    my $url = "http://127.0.0.1:$h2->{port}/x";

    # Without a length: curl does not know that of its standard input.
    for (["--data-binary \@$file", 'with a length'],
         ["-X POST -T - < $file", 'without a length']) {
        my ($how, $what) = @$_;

        arrives({ code => 0, body => '', got => eval {
                      decode_json(scalar qx($curl $url $how)) } // {} },
                $long, '200 0 ', "$version $what");
    }

    is(scalar qx($curl -o /dev/null -w '%{http_code}' $url -X POST -T - < $bad),
       422, "$version without a length: refused");
    is(scalar qx($curl $url -o /dev/null -w '%{http_code}'), 200,
       "$version: no body, nothing to classify");
    stops_cleanly($h2);
}

# Two requests in one piece on one connection.
my ($two) = Fixture::Http::ask($port,
    Fixture::Http::request('POST', '/if', body => $boot, keep => 1)
    . post('/if', $shirt), timeout => 10);
is($two->{code}, 422, 'pipelined: the first one is refused');
is(Fixture::Http::parse($two->{left})->{code}, 200,
   'and the second one passes');


# ---- nothing to classify ---------------------------------------------------

my $counted = outcome('fashion', 'ok');

for (['GET', Fixture::Http::request('GET', '/if/list')],
     ['Content-Length: 0', Fixture::Http::request('POST', '/if',
                                                  body => '')],
     ['no chunk', Fixture::Http::request('POST', '/if', body => "0\r\n\r\n",
          headers => ['Transfer-Encoding: chunked'])]) {
    my ($what, $request) = @$_;

    arrives(ask($request), '', '', $what);
}

is(outcome('fashion', 'ok'), $counted, 'none is counted');


# ---- forms -----------------------------------------------------------------

sub form_of {
    my ($uri, @parts) = @_;
    my ($type, $body) = Fixture::Http::multipart('b0undary', @parts);

    return (post($uri, $body, $type), $body);
}

sub part { return Fixture::Http::part(@_) }

my @fields = (part('title', 'A shirt'), part('note', "\xc3\xa4\r\n--x"));
my ($request, $body) = form_of('/if', @fields, part('photo', $shirt, 'a.png'));
arrives(ask($request), $body, '200 0 T-shirt/top',
        'a form, the file under any name');
($request, $body) = form_of('/if', part('photo', $shirt, 'a.png'), @fields,
                            part('second', '', ''));
arrives(ask($request), $body, '200 0 T-shirt/top',
        'a second file that was not chosen');
is(ask((form_of('/if', part('x', 'y'),
                part('photo', $boot, 'a.png')))[0])->{code}, 422, 'refused by its class');

my $file = part('file', $shirt, 'a.png');
my @bad = (
    [422, 'two images', $file, part('more', $boot, 'b.png')],
    [422, 'the second one without a file name', $file, part('more', $boot)],
    [422, 'as a type only', $file, ['Content-Disposition: form-data; name=x',
                                    'Content-Type: image/svg+xml', '<svg/>']],
    [422, 'filename* only', $file,
     ["Content-Disposition: form-data; name=x; filename*=utf-8''a.svg",
      '<svg/>']],
    [422, 'a part without a name', $file, ['X: y', '<svg/>']],
    [422, 'a disposition that cannot be read', $file,
     ['Content-Disposition: form-data; name="x"; =; filename="a.svg"',
      '<svg/>']],
    [415, 'no image', part('x', 'y')],
    [415, 'a file that is no image', part('x', 'text', 'a.svg')],
    [415, 'base64', $file, ['Content-Disposition: form-data; name=x',
                            'Content-Transfer-Encoding: base64', 'aGk=']],
    [400, 'a boundary within a field', $file,
     part('x', "y\n--b0undary\nContent-Disposition: form-data; name=z; "
               . "filename=a\n\nhidden")],
);

for (@bad) {
    my ($code, $what, @parts) = @$_;

    is(ask((form_of('/if', @parts))[0])->{code}, $code, "a form, $what: $code");
}

($request, $body) = form_of('/if', $file);
my @type = ('Content-Type: multipart/form-data; boundary=b0undary');

for (["$shirt\r\n$body", 'something before the first part'],
     ["$body--b0undary\r\n\r\nmore", 'something after the last one'],
     [substr($body, 0, -20), 'no end'], ['x', 'no boundary']) {
    my ($bytes, $what) = @$_;

    is(ask(post('/if', $bytes, @type))->{code}, 400, "a form, $what: 400");
}

arrives(ask(post('/if', "$body\r\n", @type)), "$body\r\n",
        '200 0 T-shirt/top', 'a line end after the last part');

for ([400, 'Content-Type: multipart/form-data; boundary=b0undary; boundary=c'],
     [400, 'Content-Type: multipart/form-data; boundary=b0undary; x;boundary=c'],
     [400, 'Content-Type: multipart/form-data'],
     [400, 'Content-Type: image/png',
      'Content-Type: multipart/form-data; boundary=b0undary'],
     [415, 'Content-Type: multipart/mixed; boundary=b0undary'],
     [415, 'Content-Encoding: gzip'],
     [415, 'Content-Encoding: identity', 'Content-Encoding: br']) {
    my ($code, @headers) = @$_;

    is(ask(post('/if', $shirt, @headers))->{code}, $code,
       join(', ', @headers) . ": $code");
}

is(ask(post('/if', $shirt, 'Content-Encoding: identity'))->{code}, 200,
   'Content-Encoding: identity');


# ---- animations ------------------------------------------------------------

sub chunk {
    my ($type, $data) = @_;

    return pack('N', length $data) . $type . $data
           . pack('N', Compress::Zlib::crc32($type . $data));
}

my $gif = image('1-trouser.gif');
my $frame = pack 'CvvvvCC', 0x2c, 0, 0, 1, 1, 0, 2;
my $apng = $shirt;
substr $apng, 33, 0, chunk('acTL', pack 'NN', 2, 0);

is(ask(post('/stream', $gif))->{code}, 200, 'a GIF of one frame');
is(ask(post('/stream', substr($gif, 0, -1)
                       . "\x21\xf9\4\0\0\0\0\0$frame\2\x44\1\0;"))->{code},
   422, 'a GIF with a second frame');
is(ask(post('/stream', substr($gif, 0, -1)
                       . "\x21\xfe\3abc\0;"))->{code}, 200,
   'one with a comment');
is(ask(post('/stream', $apng))->{code}, 422, 'an animated PNG');
is(ask(post('/stream', substr($shirt, 0, 33) . pack('N', 0xffffffff) . 'tEXt'
                       . substr $shirt, 33))->{code}, 400,
   'a chunk that is longer than the file');


# ---- failures --------------------------------------------------------------

my %failure = (
    'no image'   => ['text', 415],
    'broken'     => [substr($shirt, 0, 100), 400],
    'JSON'       => ['{"instances": [[1]]}', 415,
                     'Content-Type: application/json'],
);

for my $what (sort keys %failure) {
    my ($bytes, $code, @headers) = @{ $failure{$what} };

    $res = ask(post('/if', $bytes, @headers));
    is($res->{code}, $code, "$what: $code");
    ok(length($res->{got}{error} // ''), "$what: told in JSON");

    $res = ask(post('/lenient', $bytes, @headers));
    arrives($res, $bytes, "$code  ", "$what, infer_guard_failure pass");
    ok(length($res->{got}{headers}{'x-error'} // ''), "$what: \$infer_error");
}

is(ask(post('/lenient', Fixture::Image::plain(200, 0, 0, 0)))->{code}, 403,
   'pass: the configuration decides by $infer_status');
is(ask(post('/page', 'text'))->{body}, 'own page', 'error_page');

is(ask(post('/small', 'x' x 20_000))->{code}, 413, 'client_max_body_size');
is(ask(Fixture::Http::request('POST', '/small', body =>
       Fixture::Http::chunked('x' x 20_000, 5000),
       headers => ['Transfer-Encoding: chunked']))->{code}, 413,
   'the same in chunks');
is(outcome('fashion', 'body_too_large'), 1, 'which the guard counts');

is(ask(post('/late', slow_image()))->{code}, 504, 'infer_timeout');

my @all = map { { port => $port, packets => [post('/slow', slow_image())] } }
          1 .. 6;
Fixture::Http::exchange_all(\@all, timeout => 20);
is(codes(@all), '200: 2, 503: 4', 'a full queue: refused');
my ($full) = grep { $_->{code} == 503 }
             map { Fixture::Http::parse($_->{raw}) } @all;
is($full->{headers}{'retry-after'}, 1, 'with Retry-After');

@all = map { { port => $port, packets => [post('/map', $_ % 2 ? $boot
                                                           : $shirt)] } }
       1 .. 40;
Fixture::Http::exchange_all(\@all, timeout => 20, limit => 8);
is(join(' ', map { my $r = Fixture::Http::parse($_->{raw});
                   eval { decode_json($r->{body})->{name} } // $r->{code} }
             @all), join(' ', map { $_ % 2 ? 'other' : 'main' } 1 .. 40),
   'many at a time');


# ---- once, and in what order -----------------------------------------------

$res = ask(post('/first', $shirt));
is($res->{code}, 401, 'try_files to a guard: first the password');
is(outcome('second', 'ok'), 0, 'and nothing is computed without');
my $password = 'Authorization: Basic ZXZlOnNlY3JldA==';
arrives(ask(post('/first', $shirt, $password)), $shirt, '200 0 ',
        'with it');
is(ask(post('/first', $boot, $password))->{code}, 422, 'then the guard');

arrives(ask(post('/once/a', $shirt)), $shirt, '200 0 ', 'rewritten');
is(outcome('once', 'ok'), 1, 'a guard runs once');

arrives(ask(post('/two', $bag)), $bag, '413  ',
        'two guards: the variables are of the second one');
is(outcome('two_a', 'ok') . outcome('two_b', 'too_many_pixels'), 11,
   'each has run');

like(ask(post('/ask', $boot))->{body}, prediction(9),
     'a prediction behind a guard');

arrives(ask(post('/mirrored', $shirt)), $shirt, '200 0 ', 'with a mirror');
is(outcome('mirror', 'ok'), 0, 'a subrequest is not guarded');

my $status = decode_json(Fixture::Http::ask($port,
    Fixture::Http::request('GET', '/status'))->{body});
ok((grep { $_->{name} eq 'gate' && !defined $_->{path} }
    @{ $status->{models} }), 'infer_status: a model without a path');


# ---- clients that leave ----------------------------------------------------

# Half of them while their image is computed, half in the middle of it.
for my $bytes (map { substr post('/slow', slow_image()), 0, $_ } 1e6, 400) {
    my $sock = Fixture::Http::connect_to($port);
    syswrite $sock, $bytes;
    sleep 0.1;
    close $sock;
}

Fixture::Nginx::wait_for(5, sub { (outcome('slow', 'client_gone') // 0) == 2 });
is(outcome('slow', 'client_gone'), 2, 'clients that leave');

# A worker that is told to quit sends on what it has accepted.
my $wait = in_background(sub {
    return Fixture::Http::ask($port, post('/slow', slow_image()),
                              timeout => 20);
});
sleep 0.15;
$nginx->signal('QUIT');
is($wait->()->{code}, 200, 'a guard at work when nginx quits');

stops_cleanly($nginx, qr/\[error\]/);


# ---- directives ------------------------------------------------------------

sub refusal {
    my ($server) = @_;
    my $bad = Fixture::Nginx->new;

    $bad->write_file('html/two.onnx', Fixture::Onnx::model(
        nodes => [Fixture::Onnx::node('Neg', ['x'], ['y'])],
        input => ['N', 8], output => ['N', 8]));
    configured($bad, server => $server);

    return ($bad->run('-t'))[1];
}

like(refusal('location /x { $TEST_NGINX_GUARD $TEST_NGINX_GUARD }'),
     qr/"infer_guard" directive is duplicate/, 'duplicate');
like(refusal('location /x { $TEST_NGINX_GUARD infer_model x.onnx; }'),
     qr/"infer_model" directive cannot stand beside infer_guard/,
     'with infer_model');
like(refusal('location /x { infer_model x.onnx; $TEST_NGINX_GUARD }'),
     qr/"infer_guard" directive cannot stand beside infer_model/,
     'the other way round');
like(refusal('infer_guard x.onnx;'), qr/"infer_guard" directive is not allowed/,
     'not in a server');
like(refusal('location /x { infer_guard none.onnx; }'),
     qr/infer_guard: stat\(\) ".*none.onnx" failed .*nginx\.conf:\d+/,
     'a file that is not there');
like(refusal('location /x { infer_guard $ROOT/html/two.onnx; }'),
     qr/infer_guard ".*two.onnx": \S+/, 'no image classifier');
like(refusal('location /x { infer_guard_failure maybe; }'),
     qr/invalid value "maybe"/, 'infer_guard_failure: no such value');
like(refusal('location /x { $TEST_NGINX_GUARD infer_labels /dev/null; }'),
     qr/not a regular file/, 'infer_labels');

done_testing();
