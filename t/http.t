# Clients as they are: curl with HTTP/1.1 and HTTP/2, forms, uploads in
# chunks, Expect: 100-continue, bodies of 100 MB; and the answers are JSON to
# a JSON parser.

use strict;
use warnings;
use Time::HiRes qw(sleep);

BEGIN { push @INC, 't/lib' }

use File::Temp;
use JSON::PP;
use Test::More;

use Fixture::Http;
use Fixture::Infer;

my $locations = <<'CONF';
        location /p { $TEST_NGINX_FASHION $TEST_NGINX_LABELS infer_top_k 3; }
        location /file {
            $TEST_NGINX_FASHION
            client_body_in_file_only clean;
        }
        location /large { $TEST_NGINX_FASHION client_max_body_size 200m; }
        location /small { $TEST_NGINX_FASHION client_max_body_size 100; }
CONF
my $http1 = Fixture::Nginx::free_port();
my $tls = Fixture::Nginx::free_port();
my $keys = File::Temp->newdir;

system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
       . " -nodes -subj /CN=localhost -days 2 -keyout $keys/key.pem"
       . " -out $keys/cert.pem 2>/dev/null") == 0 or die "openssl: $?";

# HTTP/2 without TLS, HTTP/1.1, and HTTP/2 with TLS.
my $nginx = started(
    listen   => 'http2',
    main     => 'thread_pool two threads=2;',
    http     => 'infer_thread_pool two; infer_queue 64;',
    server   => $locations,
    http_end => <<"CONF");
    server { listen $http1; $locations }
    server {
        listen $tls ssl http2;
        ssl_certificate $keys/cert.pem;
        ssl_certificate_key $keys/key.pem;
        $locations
    }
CONF

my $png = "$ENV{TEST_NGINX_DATA}/fashion/9-boot.png";
my $text = "$ENV{TEST_NGINX_DATA}/fashion/make.py";
my $empty = File::Temp->new;
my $large = File::Temp->new;

truncate $large, 100_000_000 or die;

# Status and body of a curl run.  Where nginx answers before it has read the
# body, it resets an HTTP/2 stream after the answer, and curl 7.88 then loses
# the answer once in a while (with nginx's own errors as well): asked again.
sub curl {
    my ($code, $body);

    for (1 .. 30) {
        ($code, $body) = curl_once(@_);
        last if ($code // '000') ne '000';
        sleep 0.02;
    }

    return ($code, $body);
}

sub curl_once {
    my ($port, $version, $uri, @args) = @_;
    my @command = ('curl', '-s', '--max-time', 30, '-w', '\n%{http_code}',
                   $version, @args, "http://127.0.0.1:$port$uri");

    open my $fh, '-|', @command or die "curl: $!\n";
    my $output = do { local $/; <$fh> };
    close $fh;
    $output =~ s/\n(\d+)\z// or return (undef, $output);

    return ($1, $output);
}

my $worker = join ' ', $nginx->workers;

for my $case (['--http1.1', $http1],
              ['--http2-prior-knowledge', $nginx->{port}]) {
    my ($version, $port) = @$case;
    my @requests = (
        ['raw', 200, '/p', '--data-binary', "\@$png"],
        ['raw, in a file', 200, '/file', '--data-binary', "\@$png"],
        ['in chunks', 200, '/p', '-T', '-', '-X', 'POST', '-H',
         'Expect: 100-continue'],
        ['a form, file', 200, '/p', '-F', "file=\@$png"],
        ['a form, image, in a file', 200, '/file', '-F', "image=\@$png"],
        ['a form with other fields', 200, '/p', '-F', 'a=b', '-F',
         "data=\@$png", '-F', 'c=d'],
        ['100-continue', 200, '/p', '--data-binary', "\@$png", '-H',
         'Expect: 100-continue'],
        ['text', 415, '/p', '--data-binary', "\@$text"],
        ['a form with text', 415, '/p', '-F', "file=\@$text"],
        ['an empty body', 400, '/p', '--data-binary', "\@$empty"],
        ['a form without a file', 400, '/p', '-F', 'a=b'],
        ['too large', 413, '/small', '--data-binary', "\@$png"],
        ['100 MB of zeros, allowed', 415, '/large', '-T', "$large",
         '-X', 'POST', '-H', 'Expect:'],
        ['a form of 100 MB, allowed', 415, '/large', '-F', "file=\@$large"],
        ['GET', 200, '/p'],
        ['PUT', 405, '/p', '-X', 'PUT'],
        ['DELETE', 405, '/p', '-X', 'DELETE'],
    );

    for my $request (@requests) {
        my ($name, $code, $uri, @args) = @$request;
        my ($got, $body);

        if (grep { $_ eq '-' } @args) {
            open my $save, '<&', \*STDIN;
            open STDIN, '<', $png or die;
            ($got, $body) = curl($port, $version, $uri, @args);
            open STDIN, '<&', $save;
        } else {
            ($got, $body) = curl($port, $version, $uri, @args);
        }

        is($got, $code, "$version: $name: $code") or diag($body);
        my $json = eval { decode_json($body) };
        is(ref $json, 'HASH', "$version: $name: JSON") or diag($body);

        if ($code == 200 && $name ne 'GET') {
            is($json->{class}, 9, "$version: $name: class");
        } elsif ($code != 200) {
            ok(length($json->{error} // ''), "$version: $name: error");
        }
    }

    my ($code, $body) = curl($port, $version, '/p', '-I');
    is($code, 200, "$version: HEAD");
    ($code, $body) = curl($port, $version, '/p', '-X', 'OPTIONS');
    is($code, 204, "$version: OPTIONS");

}

# With HTTP/2 nginx resets the stream, and curl does not look for an answer.
my ($code, $body) = curl($http1, '--http1.1', '/p', '--data-binary',
                         "\@$large", '-H', 'Expect:');
is($code, 413, '100 MB, too large: 413');
ok(length(eval { decode_json($body) }->{error} // ''), 'and JSON');
curl_once($nginx->{port}, '--http2-prior-knowledge', '/p', '--data-binary',
          "\@$large", '-H', 'Expect:');

# Fifty streams of one connection.  (curl 7.88 cannot do this without TLS.)
open my $fh, '-|', "curl -k -sS --http2 -Z --parallel-max 50 --max-time 30"
                   . " --data-binary \@$png -w '%{http_code} %{http_version}\\n'"
                   . " -o /dev/null https://127.0.0.1:$tls/p" x 50
                   . ' 2>/dev/null' or die;
is(() = do { local $/; <$fh> } =~ /^200 2$/mg, 50, 'fifty streams at once');
close $fh;


# ---- the answers to the letter ------------------------------------------

my $ask = sub {
    return decode_json(Fixture::Http::ask($http1, @_)->{body});
};
my $answer = $ask->(post('/p', slurp($png)));

is_deeply([sort keys %$answer], [qw(class confidence label model top)],
          'a prediction\'s keys');
is($answer->{label}, 'Ankle boot', 'label');
is($answer->{model}, 'fashion', 'model');
ok(JSON::PP->new->canonical->encode([$answer->{class}]) eq '[9]',
   'the class is a number');
is(scalar @{ $answer->{top} }, 3, 'top has three');
is_deeply([sort keys %{ $answer->{top}[0] }], [qw(class confidence label)],
          'a class of top has class, confidence, label');
is($answer->{top}[0]{$_}, $answer->{$_}, "top begins with the $_")
    for qw(class confidence label);
ok($answer->{top}[0]{confidence} >= $answer->{top}[1]{confidence}
   && $answer->{top}[1]{confidence} >= $answer->{top}[2]{confidence},
   'top falls');

my $description = $ask->(Fixture::Http::request('GET', '/p'));

is($description->{classes}, 10, 'description: classes');
is(scalar @{ $description->{inputs} }, 1, 'description: one input');
is_deeply([@{ $description->{inputs}[0]{shape} }[1 .. 3]], [1, 28, 28],
          'description: its shape');
is_deeply([sort keys %{ $ask->(post('/p', 'text')) }], ['error'],
          'an error has one key');

is(join(' ', $nginx->workers), $worker, 'it is the same worker');
stops_cleanly($nginx);
done_testing();
