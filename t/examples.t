# The example configurations in conf/: each is accepted, starts, answers a
# prediction, and does what its comments promise.  Only paths, addresses and
# ports are replaced by the test's own.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Digest::MD5 qw(md5_hex);
use JSON::PP qw(decode_json);
use Test::More;

use Fixture::Http;
use Fixture::Infer;
use Fixture::Upstream;

my $top = "$ENV{TEST_NGINX_MODELS}/..";
my $shoe = image('9-boot.png');

# The file of an example with the paths of a server of its own, and what each
# line is to be replaced by, checked with nginx -t.
sub example {
    my ($name, %replace) = @_;
    my $nginx = Fixture::Nginx->new(expect_workers => 1);
    my $root = $nginx->{root};
    my $conf = slurp("$top/$name.conf");
    my $load = join '', map { "load_module $_;\n" }
               split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my $temp = join '', map { "    ${_}_temp_path $root/${_}_temp;\n" }
               qw(client_body proxy fastcgi scgi uwsgi);

    $conf =~ s/listen 8080;/listen $nginx->{port};/;

    for my $from (sort keys %replace) {
        like($conf, qr/\Q$from\E/, "$name.conf: $from");
        $conf =~ s/\Q$from\E/$replace{$from}/g;
    }

    $conf =~ s/^load_module .*\n/$load/m;
    $conf =~ s{^(?:pid|error_log|user) .*\n}{}mg;
    $conf =~ s{/var/log/nginx/}{$root/logs/}g;
    $temp .= "    access_log $root/logs/access.log;\n"
        if $conf !~ /^\s*access_log/m;
    $conf =~ s/^http \{\n/$&$temp/m;
    $conf .= "daemon off;\npid $root/logs/nginx.pid;\n"
             . "error_log $root/logs/error.log;\n"
             . join '', map { "env $_;\n" } qw(ASAN_OPTIONS UBSAN_OPTIONS
                                               LSAN_OPTIONS LD_PRELOAD);
    $conf .= "user root;\n" if $> == 0;

    $nginx->write_file('conf/nginx.conf', $conf);
    symlink "$top/models", "$root/conf/models" or die "models: $!\n";

    my ($status, $text) = $nginx->run('-t');
    is($status, 0, "$name.conf: nginx -t") or diag $text;

    return $nginx;
}

sub running {
    my $nginx = example(@_);

    ok($nginx->start, "$_[0].conf: starts")
        or BAIL_OUT($nginx->read_log('error.log'));

    return $nginx;
}

sub ask {
    my ($nginx, @headers) = @_;

    return Fixture::Http::ask($nginx->{port},
                              post('/predict', $shoe, @headers));
}

# What curl prints, which speaks TLS.
sub curl {
    my (@args) = @_;

    open my $out, '-|', 'curl', '-s', '--max-time', 20, @args or return '';
    local $/;

    return <$out> // '';
}


# ---- minimal.conf, and nginx.conf, which make run starts ----------------

my @nodes = running('minimal');
my $res = ask($nodes[0]);

is($res->{code}, 200, 'minimal.conf: a prediction');
like($res->{body}, prediction(9), 'a boot');

my $nginx = running('nginx', 'pid nginx.pid;' => '', 'daemon off;' => '',
                    map { ("${_}_temp_path temp/" . s/client_//r . ';' => '') }
                    qw(client_body proxy fastcgi uwsgi scgi));
is(eval { decode_json(ask($nginx)->{body})->{label} }, 'Ankle boot',
   'nginx.conf: a prediction');
stops_cleanly($nginx);


# ---- production.conf ----------------------------------------------------

SKIP: {
    my $dir = File::Temp->newdir('ngx_infer_XXXXXX', TMPDIR => 1);
    my $made = system("openssl req -x509 -newkey rsa:2048 -nodes -days 2"
                      . " -subj /CN=infer.example.com -keyout $dir/key"
                      . " -out $dir/crt >$dir/log 2>&1");
    skip 'no openssl to make a certificate', 1 if $made != 0;

    my %port = map { $_ => Fixture::Nginx::free_port() } qw(tls metrics http);

    $nginx = example('production',
        'listen 80;'             => "listen $port{http};",
        'listen 443 ssl http2;'  => "listen $port{tls} ssl http2;",
        'listen 127.0.0.1:9145;' => "listen 127.0.0.1:$port{metrics};",
        'buffer=64k flush=1s'    => '',
        '/etc/nginx/tls/infer.example.com.crt' => "$dir/crt",
        '/etc/nginx/tls/infer.example.com.key' => "$dir/key");
    $nginx->{port} = $port{http};
    ok($nginx->start, 'production.conf: starts');

    my $url = "https://infer.example.com:$port{tls}/predict";
    my @tls = ('--cacert', "$dir/crt", '--resolve',
               "infer.example.com:$port{tls}:127.0.0.1");
    my $file = "$ENV{TEST_NGINX_DATA}/fashion/9-boot.png";

    my $body = curl(@tls, '-F', "file=\@$file", $url);
    is(eval { decode_json($body)->{label} }, 'Ankle boot',
       'production.conf: a prediction over TLS');

    like(curl(@tls, '-i', '--http1.1', $url), qr/^X-Request-Id: \w{32}\r$/m,
         'the id of the request');
    like(curl(@tls, '-d', 'no image', $url), qr/"error"/, 'no image');
    is(Fixture::Http::ask($port{http}, post('/predict', $shoe))->{code}, 308,
       'plain HTTP is sent to TLS');
    like(curl("http://127.0.0.1:$port{metrics}/metrics"),
         qr/^infer_requests_total\{model="fashion",version="1",status="200",
            reason="ok"\}\ 1$/mx, 'metrics');

    my @lines = map { eval { decode_json($_) } // "no JSON: $_" }
                split /\n/, $nginx->read_log('infer.log');
    my ($good) = grep { ref && $_->{class} eq '9' } @lines;

    is_deeply([grep { !ref } @lines], [], 'each line of the log is JSON');
    is($good->{label}, 'Ankle boot', 'with what was answered');
    is($good->{status}, 200, 'and the status');
    ok((grep { ref && $_->{error} ne '' } @lines), 'and errors');
    stops_cleanly($nginx);
}


# ---- balancer.conf ------------------------------------------------------

push @nodes, running('minimal') for 1 .. 2;
$nginx = running('balancer',
                 map { ("10.0.0.1$_:8080" => "127.0.0.1:"
                                             . $nodes[$_ - 1]{port}) } 1 .. 3);

my %asked;

for (1 .. 9) {
    like(ask($nginx)->{body}, prediction(9), "balancer.conf: prediction $_");
}

Fixture::Nginx::wait_for(5, sub {
    %asked = map { $_ => 1 }
             $nginx->read_log('access.log') =~ /nodes="([^"]+)"/g;
    return keys %asked == 3;
});
is(scalar keys %asked, 3, 'all three nodes have answered');

# One is killed, so that the connections to it are still believed in.
$nodes[0]->crash;
is(ask($nginx)->{code}, 200, 'one node is killed: a prediction') for 1 .. 9;
stops_cleanly($nginx);
stops_cleanly($_) for @nodes[1, 2];


# ---- canary.conf --------------------------------------------------------

$nginx = running('canary');

my %clients;

for my $client (1 .. 200) {
    $res = ask($nginx, "X-Client: $client");
    push @{ $clients{ $res->{headers}{'x-model-version'} // $res->{code} } },
         $client;
}

is(join(' ', sort keys %clients), '1 2', 'canary.conf: both versions answer');
cmp_ok(scalar @{ $clients{2} }, '<', 30, 'the new one a few clients');

for my $version (1, 2) {
    my %again = map {
        ask($nginx, "X-Client: $_")->{headers}{'x-model-version'} => 1
    } (@{ $clients{$version} }) x 2;
    is(join(' ', keys %again), $version,
       "a client of version $version stays one");
}

is(Fixture::Http::ask($nginx->{port}, post('/new', $shoe))->{code}, 404,
   'a client does not choose');
stops_cleanly($nginx);


# ---- limits.conf --------------------------------------------------------

$nginx = running('limits');
is(ask($nginx)->{code}, 401, 'limits.conf: no key');
is(ask($nginx, 'X-Api-Key: guess')->{code}, 401, 'an unknown key');
ok(eval { decode_json(ask($nginx)->{body})->{error} }, 'refused in JSON');

my $key = 'X-Api-Key: 2f0c6d5b';
like(ask($nginx, $key)->{body}, prediction(9), 'a prediction');

my @all = map { { port => $nginx->{port},
                  packets => [post('/predict', $shoe, $key)] } } 1 .. 60;
Fixture::Http::exchange_all(\@all);

my @refused = map { $_->{code} == 429 ? $_ : () }
              map { Fixture::Http::parse($_->{raw}) } @all;

like(codes(@all), qr/^200: \d+, 429: \d+$/, 'more than the rate: 429');
is($refused[0]{headers}{'retry-after'}, 1, 'with Retry-After');
ok(eval { decode_json($refused[0]{body})->{error} }, 'and in JSON');
is(ask($nginx, 'X-Api-Key: 91be7a04')->{code}, 200,
   'another key has its own rate');
stops_cleanly($nginx);


# ---- moderation.conf ----------------------------------------------------

my %up = map { $_ => Fixture::Upstream->start(name => $_) }
         qw(application quarantine);

$nginx = running('moderation',
                 '127.0.0.1:8081' => "127.0.0.1:$up{application}{port}",
                 '127.0.0.1:8082' => "127.0.0.1:$up{quarantine}{port}");

# Who has got a body, with which headers of ours, or the status.
sub upload {
    my ($body, @headers) = @_;
    my $answer = Fixture::Http::ask($nginx->{port},
                                    post('/upload', $body, @headers));
    my $got = eval { decode_json($answer->{body}) };

    return $answer->{code} if !$got || !$got->{name};

    is($got->{md5}, md5_hex($body), 'the body as it was sent');

    return join ' ', $got->{name}, map { $got->{headers}{"x-infer-$_"} // '-' }
                     qw(class label);
}

is(upload($shoe), 422, 'moderation.conf: a boot is refused');
is(upload(image('2-pullover.png')), 'application 2 Pullover',
   'a pullover goes to the application');
is(upload(image('halves.jpg'), 'X-Infer-Class: 2', 'X-Infer-Label: Pullover'),
   'quarantine 0 T-shirt/top',
   'what is not clear into quarantine, whatever its headers say');
is(upload('no image'), 415, 'what is no image: refused');

$res = Fixture::Http::ask($nginx->{port},
                          Fixture::Http::request('GET', '/upload/list'));
is(eval { decode_json($res->{body})->{name} }, 'application',
   'GET goes to the application');

@all = map { { port => $nginx->{port}, packets => [post('/upload', $shoe)] } }
       1 .. 30;
Fixture::Http::exchange_all(\@all);

my ($limited) = codes(@all) =~ /^422: \d+, 429: (\d+)$/;
ok($limited, 'limits come before the guard');

# nginx writes a line after its answer.
my $log = Fixture::Nginx::wait_for(5, sub {
    my $text = $nginx->read_log('access.log');
    return (() = $text =~ /" 429 class=/g) >= $limited ? $text : undef;
}) // '';
is(() = $log =~ /" 429 class=- /g, $limited, 'and cost no prediction');
stops_cleanly($nginx);

done_testing();
