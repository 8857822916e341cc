# The binary is replaced under load, again and again: USR2 starts the new one,
# WINCH sends the old workers home, QUIT the old master.  No request fails.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Load;

my $seconds = soak_seconds();
my $nginx = started(
    daemon  => 1,
    workers => 2,
    listen  => 'reuseport',
    main    => 'thread_pool one threads=1;',
    http    => 'infer_thread_pool one; infer_queue 64; access_log off;',
    server  => <<'CONF');
        location /p { $TEST_NGINX_FASHION add_header X-Worker $pid; }
CONF
my $pid_file = $nginx->path('logs/nginx.pid');

# The process that a pid file names, if it is another than $not.
sub named {
    my ($name, $not) = @_;
    my $pid = -s $nginx->path("logs/$name") && $nginx->pid_of_file($name);

    return $pid && $pid != $not ? $pid : 0;
}

# One upgrade: true when the new master has workers and the old one is gone.
sub upgrade {
    my $old = $nginx->{pid};

    $nginx->signal('USR2');

    my $new = Fixture::Nginx::wait_for(30, sub {
        return -s "$pid_file.oldbin" && named('nginx.pid', $old);
    }) or return 0;

    Fixture::Nginx::wait_for(30, sub {
        local $nginx->{pid} = $new;
        return $nginx->workers == 2;
    }) or return 0;

    # nginx itself gives new workers this time at a reload
    sleep 0.1;
    kill 'WINCH', $old;
    Fixture::Nginx::wait_for(30, sub {
        # the new master is a child of the old one
        return !grep { $_ != $new } $nginx->workers;
    }) or return 0;

    kill 'QUIT', $old;
    $nginx->{pid} = $new;

    return Fixture::Nginx::wait_for(30, sub {
        return !Fixture::Nginx::alive($old) && !-e "$pid_file.oldbin";
    });
}

my $load = Fixture::Load->start(port => $nginx->{port}, rate => 100,
                                requests => [post('/p',
                                                  image('1-trouser.png'))]);
my ($tried, $done) = (0, 0);
my $until = time + $seconds;

while (time < $until) {
    sleep 0.2;
    $tried++;
    upgrade() ? $done++ : last;
}

my @all = $load->finish;
my %bodies = map { Fixture::Http::parse($_->[3])->{body} => 1 } @all;

diag sprintf '%d upgrades in %d s: %s; p99 %.2f ms', $done, $seconds,
             outcomes(@all), percentile(0.99, seconds_of(200, @all)) * 1e3;

cmp_ok($done, '>=', 2, 'the binary is replaced');
is($done, $tried, 'each time');
is(outcomes(@all), '200: ' . @all, 'no request fails');
is(scalar keys %bodies, 1, 'and all have the same answer');

stops_cleanly($nginx);
done_testing();
