# infer_feedback: an answer is remembered under its id, by all workers and for
# as many answers as the directive says, over a reload and a killed worker; the
# class that a client reports for it is counted once.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP;
use Test::More;

use Fixture::Http;
use Fixture::Infer;
use Fixture::Kserve;
use Fixture::Onnx;

my %part = (
    workers => 4,
    listen  => 'reuseport',
    main    => 'thread_pool one threads=1;',
    http    => 'infer_thread_pool one;',
    root_location => 0,
    server  => <<'CONF');
        location /predict {
            $TEST_NGINX_FASHION $TEST_NGINX_LABELS
            infer_feedback 20;
            add_header X-Worker $pid;
        }
        location /two/ {
            infer_model $ROOT/html/a.onnx;
            infer_model $ROOT/html/b.onnx;
            infer_preprocess resize=28 crop=28;
            infer_labels $ROOT/html/twins;
            infer_feedback 3;
            client_body_buffer_size 16;
        }
        location /off { $TEST_NGINX_FASHION }
        location / {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=root;
            infer_preprocess resize=28 crop=28;
            infer_feedback 1;
        }
        location = /metrics { infer_metrics; }
        location = /status { infer_status; }
CONF

# Two models of which one always answers 3, the other 7, of classes that have
# but five names.
my $nginx = started(%part, files => {
    'html/twins'  => join('', map { "n$_\n" } 0 .. 4, 0 .. 4),
    'html/a.onnx' => Fixture::Onnx::constant((0) x 3, 9, (0) x 6),
    'html/b.onnx' => Fixture::Onnx::constant((0) x 7, 9, (0) x 2),
});
my $port = $nginx->{port};
my $boot = image('9-boot.png');

sub ask { return Fixture::Http::ask($port, @_) }

# An answer's id.
sub predicted {
    my ($path, @headers) = @_;

    return ask(post($path, $boot, @headers))->{headers}{'x-infer-id'};
}

sub report {
    my ($path, $id, $label) = @_;
    my $res = ask(post($path, encode_json({ id => $id, label => $label })));

    return ($res->{code}, eval { decode_json($res->{body}) });
}

sub metrics {
    return ask(Fixture::Http::request('GET', '/metrics'))->{body};
}

sub counted {
    my ($result, $model) = @_;

    $model //= 'fashion';

    return metrics() =~ /^infer_feedback_total\{model="$model",version="",
                         result="$result"\}\ (\d+)$/mx ? $1 : undef;
}


# ---- reports ---------------------------------------------------------------

my $id = predicted('/predict');
like($id, qr/^[0-9a-f]{32}$/, 'an answer has an id');

my ($code, $said) = report('/predict/feedback', $id, 9);
is($code, 200, 'a report');
is_deeply($said, { id => $id, model => 'fashion', class => 9,
                   right => JSON::PP::true }, 'what it says');
is((report('/predict/feedback', $id, 9))[0], 409, 'once only');
is((report('/predict/feedback', 'x' . $id, 9))[0], 404, 'another id');

is(predicted('/predict', 'X-Request-Id: my-own'), 'my-own',
   "the client's own id");
($code, $said) = report('/predict/feedback', 'my-own', 'Sneaker');
is("$code $said->{right}", '200 0', 'a wrong answer, by the name of the class');

for my $bad ("a b", "x" x 129, "\xc3\xa4") {
    like(predicted('/predict', "X-Request-Id: $bad"), qr/^[0-9a-f]{32}$/,
         'what is no id is none');
}

$id = predicted('/predict');
is((report('/predict/feedback', $id, $_))[0], 422, "no class $_")
    for -1, 10, 4294967305, 'Boots';
is((report('/predict/feedback', $id, 9))[0], 200, 'which uses nothing up');

my @malformed = ('', '{', '[]', '"x"', '{"id":"a"}', '{"label":1}',
                 '{"id":1,"label":1}', '{"id":"a","label":1.5}',
                 '{"id":"a","label":null}', '{"id":"a","id":"b","label":1}',
                 '{"id":"","label":1}', '{"id":"a\u0000","label":1}',
                 '{"id":"' . 'x' x 129 . '","label":1}',
                 '{"id":"a","label":1}' . ' ' x 4096, '[' x 4000);

is(ask(post('/predict/feedback', $_))->{code}, 400,
   'malformed: ' . substr $_, 0, 30) for @malformed;
is(ask(Fixture::Http::request('POST', '/predict/feedback',
       headers => ['Transfer-Encoding: chunked'],
       body => Fixture::Http::chunked('x' x 9000, 100)))->{code}, 400,
   'too large, in chunks');

my $get = ask(Fixture::Http::request('GET', '/predict/feedback'));
is("$get->{code} $get->{headers}{allow}", '405 POST, OPTIONS', 'GET');

is((report('/feedback', predicted('/'), 9))[0], 200, 'location /');

# Where it is off nothing is different.
ok(!defined predicted('/off'), 'no id where it is off');
is(ask(post('/off/feedback', $boot))->{code}, 200, 'and no such path');
is(ask(post('/off/v2/models/fashion/feedback', '{}'))->{code}, 404,
   'nor by the name of a model');


# ---- other protocols -------------------------------------------------------

my $tensor = { name => 'input', shape => [1, 1, 28, 28], datatype => 'FP32',
               data => [(0) x 784] };
my $res = ask(post('/predict/v2/models/fashion/infer',
                   encode_json({ id => 'kserve-1', inputs => [$tensor] }),
                   'X-Request-Id: header-1'));
is($res->{headers}{'x-infer-id'}, 'kserve-1', "the id of KServe's body");
is((report('/predict/v2/models/fashion/feedback', 'kserve-1', 0))[0], 200,
   'a report to the model by its name');

$res = ask(post('/predict/v2/models/fashion/infer', encode_json({
    inputs => [{ %$tensor, shape => [2, 1, 28, 28],
                 data => [(0) x 1568] }] })));
is($res->{code}, 200, 'a batch');
ok(!exists $res->{headers}{'x-infer-id'}, 'has no one class, and no id');


# ---- several models in a location, and names that two classes have ---------

my $b = ask(post('/two/predictions/b', $boot))->{headers}{'x-infer-id'};
my $a = predicted('/two/');

is((report('/two/v2/models/a/feedback', $b, 7))[0], 404, 'not that model');
($code, $said) = report('/two/feedback', $b, 'n2');
is("$said->{model} $said->{right}", 'b 1', 'n2 is class 2 and 7');
($code, $said) = report('/two/feedback', $a, 'n2');
is("$said->{model} $said->{right}", 'a 0', 'the other model');

my @ids = map { predicted('/two/') } 1 .. 4;
is((report('/two/feedback', $_->[0], 3))[0], $_->[1], 'the last three')
    for [$ids[0], 404], [$ids[1], 200], [$ids[3], 200], [$ids[2], 200];

predicted('/two/', 'X-Request-Id: twice') for 1 .. 2;
is((report('/two/feedback', 'twice', 3))[0], 200, 'an id that came twice');
is((report('/two/feedback', 'twice', 3))[0], 409, 'means the last answer');


# ---- what is counted -------------------------------------------------------

is(counted('right'), 2, 'right');
is(counted('wrong'), 2, 'wrong');
is(counted('duplicate'), 1, 'duplicate');
is(counted('no_class'), 4, 'no class');
is(counted('malformed'), @malformed + 1, 'malformed');

my ($status) = grep { $_->{name} eq 'fashion' }
               @{ decode_json(ask(Fixture::Http::request('GET', '/status'))
                              ->{body})->{models} };
my $f = $status->{feedback};

is($f->{accuracy}, 0.5, 'accuracy');
is_deeply($f->{classes}{9}, { right => 2, wrong => 0 }, 'class 9');
is_deeply((grep { "@$_[0, 1]" eq '7 9' } @{ $f->{confusion} })[0], [7, 9, 1],
          'a boot that is a sneaker');


# ---- four workers, a reload, a killed worker -------------------------------

my %worker;
my $rounds = 0;

sub round {
    my ($right, $wrong) = (counted('right'), counted('wrong'));
    my @all = map { { port => $port, packets => [post('/predict', $boot)] } }
              1 .. 20;

    Fixture::Http::exchange_all(\@all);

    my @ids = map { my $res = Fixture::Http::parse($_->{raw});
                    $worker{ $res->{headers}{'x-worker'} }++;
                    $res->{headers}{'x-infer-id'} } @all;
    my @reports = map { { port => $port, packets => [post('/predict/feedback',
        encode_json({ id => $ids[$_], label => $_ % 4 ? 9 : 0 }))] } } 0 .. 19;

    # Each of them twice at once: one of both counts.
    my @twice = map { { %$_ } } @reports;

    Fixture::Http::exchange_all([@reports, @twice]);

    is(codes(@reports, @twice), '200: 20, 409: 20', 'each counts once');
    is(counted('right') - $right, 15, 'fifteen right');
    is(counted('wrong') - $wrong, 5, 'five wrong');
}

round() while keys %worker < 4 && $rounds++ < 20;
is(scalar keys %worker, 4, 'all workers have answered');

$id = predicted('/predict');
my ($right) = counted('right');
my @old = $nginx->workers;

$nginx->signal('HUP');
ok(Fixture::Nginx::wait_for(20, sub {
    my %now = map { $_ => 1 } $nginx->workers;
    return keys %now == 4 && !grep { $now{$_} } @old;
}), 'reloaded');
is((report('/predict/feedback', $id, 9))[0], 200, 'an answer before a reload');
is(counted('right'), $right + 1, 'counters go on');

# Workers that are killed again and again, some of them while they hold the
# lock, leave a ring that works.
my $load = in_background(sub {
    my @all = map { { port => $port, packets => [post('/predict', $boot)] } }
              1 .. 1500;
    Fixture::Http::exchange_all(\@all, limit => 16, timeout => 20);
    return [1];
});

for (1 .. 12) {
    my @now = $nginx->workers;
    kill 'KILL', $now[rand @now];
    select undef, undef, undef, 0.05;
}

$load->();
ok(Fixture::Nginx::wait_for(20, sub { $nginx->workers == 4 }),
   'four workers again');
round();

# Another size: another ring, the same counters.
$right = counted('right');
configured($nginx, %part, server => $part{server}
           =~ s/infer_feedback 20;/infer_feedback 1;/r);
@old = $nginx->workers;
$nginx->signal('HUP');
ok(Fixture::Nginx::wait_for(20, sub {
    my %now = map { $_ => 1 } $nginx->workers;
    return keys %now == 4 && !grep { $now{$_} } @old;
}), 'reloaded');
my $first = predicted('/predict');
$id = predicted('/predict');
is((report('/predict/feedback', $first, 9))[0], 404, 'one answer');
is((report('/predict/feedback', $id, 9))[0], 200, 'is remembered');
is(counted('right'), $right + 1, 'and counted');

SKIP: {
    skip 'PROMTOOL is not set', 1 if !$ENV{PROMTOOL};

    $nginx->write_file('metrics.txt', metrics());
    my $file = $nginx->path('metrics.txt');
    is(scalar(qx($ENV{PROMTOOL} check metrics < $file 2>&1)), '',
       'promtool check metrics');
}

stops_cleanly($nginx, qr/exited on signal 9/);
done_testing();
