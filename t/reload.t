# Reloads: under load no request fails, a bad model changes nothing, an
# unchanged model stays where it is, a changed one is used, and whatever
# happens to the file of a running model happens to nobody else.
# (ingress-nginx#9329: requests dropped; ModSecurity#2381: reload leaks;
# openappsec#417: old workers that never exit.)

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Onnx;

# A model of some megabytes, so that its pages stand out in smaps.
my $big = slurp("$ENV{TEST_NGINX_MODELS}/fashion.onnx");
my %part = (
    workers => 4,
    listen  => 'reuseport',
    main    => 'thread_pool two threads=2;',
    http    => 'infer_thread_pool two; infer_queue 64;
                infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;',
    server  => <<'CONF');
        location /p {
            infer_model $ROOT/html/model.onnx;
            add_header X-Worker $pid;
        }
        location /slow {
            infer_model $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
        }
CONF
my $nginx = started(%part, files => {
    'html/model.onnx' => $big,
    'html/slow.onnx'  => slow_model(0.3),
});
my $port = $nginx->{port};
my $model = $nginx->path('html/model.onnx');
my $request = post('/p', image('1-trouser.png'));

sub wait_for_log {
    my ($pattern, $count) = @_;

    return Fixture::Nginx::wait_for(10, sub {
        return (() = $nginx->read_log('error.log') =~ /$pattern/g) >= $count;
    });
}

# Reloads, and waits until only workers of the new configuration are there.
sub reload {
    my @old = $nginx->workers;

    $nginx->signal('HUP');

    return Fixture::Nginx::wait_for(20, sub {
        my %now = map { $_ => 1 } $nginx->workers;
        return keys %now == 4 && !grep { $now{$_} } @old;
    });
}

# Asks until all four workers have answered: their distinct bodies.
sub answers {
    my (%workers, %bodies);

    for (1 .. 20) {
        my @all = map { { port => $port, packets => [$request] } } 1 .. 32;
        Fixture::Http::exchange_all(\@all);

        for my $x (@all) {
            my $res = Fixture::Http::parse($x->{raw});
            return "status $res->{code}" if $res->{code} != 200;
            $workers{ $res->{headers}{'x-worker'} }++;
            $bodies{ $res->{body} }++;
        }

        last if keys %workers == 4;
    }

    return join '', sort keys %bodies;
}

my $answer = answers();
like($answer, prediction(1), 'a prediction');


# ---- one mapping for all ------------------------------------------------

my @maps = map { shared_mappings($_) } $nginx->workers;
my @inodes = sort keys %{ $maps[0] };

is(scalar @inodes, 2, 'two models: two shared read-only mappings');
is_deeply([map { join ' ', sort keys %$_ } @maps], [("@inodes") x 4],
          'the same ones in every worker');

for my $map (@maps) {
    for my $inode (@inodes) {
        my $size = $map->{$inode}{Size};
        is($map->{$inode}{Private_Dirty} + $map->{$inode}{Private_Clean}, 0,
           "none of the $size KB are the worker's own");
    }
}

my ($largest) = sort { $b <=> $a }
                map { $maps[0]{$_}{Size} } @inodes;
cmp_ok($largest, '>=', 400, 'the weights are in there');


# ---- reload: unchanged, under load --------------------------------------

my $load = in_background(sub {
    my @all = map { { port => $port, packets => [$request] } } 1 .. 3000;
    Fixture::Http::exchange_all(\@all, limit => 16, timeout => 30);
    return [map { { raw => $_->{raw}, error => $_->{error} } } @all];
});
my $flight = in_background(sub {
    my @all = map { { port => $port, packets => [post('/slow',
                                                      slow_image())] } }
              1 .. 8;
    Fixture::Http::exchange_all(\@all, timeout => 60);
    return [map { { raw => $_->{raw}, error => $_->{error} } } @all];
});

sleep 0.1;
ok(reload(), "reload $_ under load") for 1 .. 3;

my @all = @{ $flight->() };
is(codes(@all), '200: 8', 'tasks in flight at a reload are finished');
@all = @{ $load->() };
is(codes(@all), '200: 3000', 'no request fails during three reloads');

my %bodies = map { Fixture::Http::parse($_->{raw})->{body} => 1 } @all;
is(join('', keys %bodies), $answer, 'and all have the same answer');

is(join(' ', sort keys %{ shared_mappings(($nginx->workers)[0]) }), "@inodes",
   'an unchanged model stays where it is');


# ---- reload with a bad model --------------------------------------------

my @workers = sort $nginx->workers;

for my $bad (['garbage', 'this is no model'], ['truncated',
                                               substr $big, 0, 200000]) {
    my ($name, $bytes) = @$bad;
    my $count = () = $nginx->read_log('error.log') =~ /\[emerg\]/g;

    $nginx->write_file("html/$name.onnx", $bytes);
    configured($nginx, %part, server =>
               "location /p { infer_model \$ROOT/html/$name.onnx; }");
    $nginx->signal('HUP');

    ok(wait_for_log(qr/\[emerg\].*\Q$name.onnx\E/, 1),
       "a reload with a $name model is an [emerg] line with its name");
    sleep 0.2;
    is((() = $nginx->read_log('error.log') =~ /\[emerg\]/g) - $count, 1,
       'one line');
    is_deeply([sort $nginx->workers], \@workers, 'the old workers stay');
    is(answers(), $answer, 'and serve');
}

configured($nginx, %part);

# The same file, now broken, then whole again.
$nginx->write_file("$model.bad", 'no model');
$nginx->write_file("$model.good", $big);
rename "$model.bad", $model or die;
$nginx->signal('HUP');
ok(wait_for_log(qr/\[emerg\].*model\.onnx/, 1),
   'a reload with its own file broken is an [emerg] line');
is(answers(), $answer, 'the old workers serve on');
rename "$model.good", $model or die;
ok(reload(), 'with the file restored a reload works');
is(answers(), $answer, 'with the same answer');


# ---- the file of a running model ----------------------------------------

my @harm = (
    [truncated   => sub { truncate $model, 100 or die }],
    [emptied     => sub { truncate $model, 0 or die }],
    [overwritten => sub { open my $fh, '+<', $model or die;
                          print $fh "\xff" x length $big; close $fh }],
    [deleted     => sub { unlink $model or die }],
);

for my $harm (@harm) {
    my ($name, $do) = @$harm;

    $do->();
    is(answers(), $answer, "its file $name, a model gives the same answers");
}

my ($victim) = $nginx->workers;
kill 'TERM', $victim;
ok(Fixture::Nginx::wait_for(10, sub {
    my @now = $nginx->workers;
    return @now == 4 && !grep { $_ == $victim } @now;
}), 'a new worker is forked');
is(answers(), $answer, 'and gives the same answers without the file');


# ---- a changed model ----------------------------------------------------

for my $class (3, 7) {
    my @scores = (0) x 10;
    $scores[$class] = 9;
    $nginx->write_file("$model.new", Fixture::Onnx::constant(@scores));
    rename "$model.new", $model or die;

    my $before = in_background(sub {
        my @all = map { { port => $port, packets => [$request] } } 1 .. 500;
        Fixture::Http::exchange_all(\@all, limit => 8, timeout => 30);
        return [map { { raw => $_->{raw}, error => $_->{error} } } @all];
    });

    ok(reload(), "a reload with a changed model, class $class");
    is(codes(@{ $before->() }), '200: 500', 'no request fails');
    like(answers(), prediction($class), 'the new model answers');
}


# ---- reloads leak nothing -----------------------------------------------

sub master_kb {
    return slurp("/proc/$nginx->{pid}/status") =~ /^RssAnon:\s+(\d+)/m
           ? $1 : die;
}

reload() for 1 .. 3;
my $kb = master_kb();
reload() for 1 .. 8;
my $growth = master_kb() - $kb;

SKIP: {
    skip 'memory is the sanitizer\'s', 1 if under_sanitizer();
    cmp_ok($growth, '<', 512, "eight reloads: the master grew by $growth KB");
}

is(scalar keys %{ shared_mappings($nginx->{pid}) }, 2,
   'the master has no mapping of an old model');

stops_cleanly($nginx, qr/\[emerg\].*(?:garbage|truncated|model)\.onnx/);
done_testing();
