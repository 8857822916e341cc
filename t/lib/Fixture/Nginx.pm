package Fixture::Nginx;

# One nginx under test, run as a direct child in the foreground, so that its
# end is seen at once by waitpid.  Its prefix is a directory of its own with
# conf, logs and html.  Both the stand-in for Test::Nginx::Socket and the
# lifecycle scripts start their servers here.
#
# TEST_NGINX_BINARY is the program (default: nginx), TEST_NGINX_LOAD_MODULES
# the .so files to load, TEST_NGINX_LD_PRELOAD libraries to preload (the
# sanitizers' run time, for an instrumented module in a plain nginx).

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my %given;


# The program with its path: an upgrade executes it again.
sub binary {
    my $name = $ENV{TEST_NGINX_BINARY} || 'nginx';

    return $name if $name =~ m{/};

    return (grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH} // ''),
            qw(/usr/sbin /usr/local/sbin))[0] // $name;
}


# The version as a number that compares: 1.22.1 -> 1022001.
sub version {
    my $binary = binary();
    my $text = qx($binary -v 2>&1);

    return $text =~ m{nginx/(\d+)\.(\d+)\.(\d+)}
           ? $1 * 1_000_000 + $2 * 1000 + $3 : 0;
}


# A port that nobody listens on and that was not given out before.
sub free_port {
    for (1 .. 100) {
        my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                         LocalPort => 0, Listen => 1)
            or die "no port: $!\n";
        my $port = $sock->sockport;
        close $sock;
        return $port unless $given{$port}++;
    }

    die "no free port\n";
}


# An nginx.conf.  Parts: root, port; main, http, server, http_end: text;
# workers, master, daemon, connections, log_level, listen (options),
# max_body, root_location.
sub config {
    my (%c) = @_;
    my $load = join '', map { "load_module $_;\n" } grep { length }
               split /\s+/, $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my $temp = join '', map { "    ${_}_temp_path $c{root}/${_}_temp;\n" }
               qw(client_body proxy fastcgi scgi uwsgi);
    my $index = !($c{root_location} // 1) ? '' : <<"CONF";
        location / {
            root $c{root}/html;
            index index.html;
        }
CONF
    my $user = $> == 0 ? "user root;\n" : '';

    $_ //= '' for @c{qw(main http server http_end listen)};
    $_ = defined $_ ? "client_max_body_size $_;" : '' for $c{max_body};

    return <<"CONF";
${load}${user}daemon @{[ $c{daemon} ? 'on' : 'off' ]};
master_process @{[ $c{master} ? 'on' : 'off' ]};
worker_processes @{[ $c{workers} // 1 ]};
error_log $c{root}/logs/error.log @{[ $c{log_level} // 'info' ]};
pid $c{root}/logs/nginx.pid;
env ASAN_OPTIONS;
env UBSAN_OPTIONS;
env LSAN_OPTIONS;
env LD_PRELOAD;

$c{main}

events {
    accept_mutex off;
    worker_connections @{[ $c{connections} // 64 ]};
}

http {
    access_log $c{root}/logs/access.log;
$temp
    default_type text/plain;
    keepalive_timeout 68s;

$c{http}

    server {
        listen $c{port} $c{listen};
        server_name localhost;
        $c{max_body}

$c{server}

$index
    }

$c{http_end}
}
CONF
}


# Makes the prefix (empty logs) in `root`, or in a directory of its own that
# goes with the object, and takes `port`, or a free one.  Does not start it.
# With `daemon` it will run in the background, as an upgrade of the binary
# wants it; its process is then the one named in the pid file.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt }, $class;

    $self->{tmp} = $self->{root} ? undef
                   : File::Temp->newdir('ngx_infer_XXXXXX', TMPDIR => 1);
    $self->{root} //= $self->{tmp}->dirname;
    chmod 0755, $self->{root};
    make_path(map { "$self->{root}/$_" } qw(conf logs html));
    $self->{port} //= free_port();
    $self->{owner} = $$;

    return $self;
}


sub path { my ($self, $name) = @_; return "$self->{root}/$name" }


sub write_file {
    my ($self, $name, $content) = @_;
    my $path = $name =~ m{^/} ? $name : $self->path($name);

    make_path($1) if $path =~ m{^(.*)/};
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $content;
    close $fh or die "$path: $!\n";

    return $path;
}


sub read_log {
    my ($self, $name, $from) = @_;

    open my $fh, '<:raw', $self->path("logs/$name") or return '';
    seek $fh, $from // 0, 0;
    local $/;

    return <$fh> // '';
}


# Writes nginx.conf from parts (see config).
sub configure {
    my ($self, %parts) = @_;

    $self->{expect_workers} = $parts{master} ? $parts{workers} // 1 : 0;
    $self->write_file('conf/nginx.conf',
                      config(%parts, root => $self->{root},
                             port => $self->{port},
                             daemon => $self->{daemon}));
}


sub command {
    my ($self, @more) = @_;

    return (binary(), '-e', $self->path('logs/error.log'), '-p',
            "$self->{root}/", '-c', $self->path('conf/nginx.conf'), @more);
}


# Starts nginx without waiting for it; stdout and stderr go to logs/stderr.log.
sub spawn {
    my ($self, @more) = @_;
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        if (length($ENV{TEST_NGINX_LD_PRELOAD} // '')) {
            $ENV{LD_PRELOAD} = $ENV{TEST_NGINX_LD_PRELOAD};
            $ENV{LSAN_OPTIONS} //= "suppressions=$top/t/lsan.supp"
                                   . ':print_suppressions=0';
        }

        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $self->path('logs/stderr.log');
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec $self->command(@more) or POSIX::_exit(127);
    }

    return $pid;
}


# Starts nginx and waits until it listens and has its workers.  False when it
# ended instead.
sub start {
    my ($self) = @_;

    $self->{pid} = $self->spawn;
    delete $self->{status};

    if ($self->{daemon}) {
        waitpid $self->{pid}, 0;
        $self->{pid} = undef;
        $self->{status} = $?;
        return 0 if $? != 0;
        wait_for(10, sub { -s $self->path('logs/nginx.pid') }) or return 0;
        $self->{pid} = $self->pid_of_file;
    }

    my $until = time + 30;

    while (time < $until) {
        return 0 if $self->exited;
        my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                         PeerPort => $self->{port});
        return 1 if $sock && -s $self->path('logs/nginx.pid')
                    && $self->workers >= $self->{expect_workers};
        sleep 0.005;
    }

    return 0;
}


# Runs nginx with further arguments (-t) to its end: exit status and output.
sub run {
    my ($self, @more) = @_;
    my $from = -s $self->path('logs/stderr.log') // 0;
    my $pid = $self->spawn(@more);

    waitpid $pid, 0;

    return ($? >> 8, $self->read_log('stderr.log', $from));
}


sub pid_of_file {
    my ($self, $name) = @_;

    return $self->read_log($name // 'nginx.pid') =~ /(\d+)/ ? $1 : undef;
}


# Whether a process runs; one that nobody has waited for yet does not.
sub alive {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/stat" or return 0;

    return (<$fh> // '') =~ /\) [^ZX]/;
}


# True when the server has ended; {status} is then what waitpid said.
sub exited {
    my ($self) = @_;

    return 1 unless $self->{pid};

    if ($self->{daemon}) {
        $self->{pid} = undef unless alive($self->{pid});
        return !$self->{pid};
    }

    return 0 unless waitpid($self->{pid}, WNOHANG) == $self->{pid};

    $self->{status} = $?;
    $self->{pid} = undef;

    return 1;
}


sub wait_exit {
    my ($self, $seconds) = @_;

    return wait_for($seconds, sub { $self->exited });
}


sub signal {
    my ($self, $name) = @_;

    return $self->{pid} ? kill($name, $self->{pid}) : 0;
}


# Ends nginx by a signal (QUIT), and by force after some seconds: true when
# no force was needed.
sub stop {
    my ($self, $name, $seconds) = @_;

    return 1 if $self->exited;
    $self->signal($name // 'QUIT');
    return 1 if $self->wait_exit($seconds // 10);

    $self->crash;

    return 0;
}


# Kills all its processes: the master first stopped, or it would make new
# workers while the old ones are being killed.
sub crash {
    my ($self) = @_;

    $self->signal('STOP');
    kill 'KILL', $self->workers, $self->{pid};
    $self->wait_exit(10);
}


# The processes whose parent is this nginx: the workers of all generations.
sub workers {
    my ($self) = @_;

    return () unless $self->{pid};
    open my $fh, '<', "/proc/$self->{pid}/task/$self->{pid}/children"
        or return ();

    return split ' ', <$fh> // '';
}


# Lines of the logs that must not be in any: crashes, alerts, emergencies and
# reports of the sanitizers.
sub complaints {
    my ($self) = @_;

    my @bad = ('\[alert\]', '\[emerg\]', 'exited on signal',
               'ERROR: \w+Sanitizer', 'runtime error:');
    my $bad = join '|', @bad;

    return grep { /$bad/ }
           map { split /\n/, $self->read_log($_) } qw(error.log stderr.log);
}


# Asks $cond every few milliseconds until it is true: what it said, or false.
sub wait_for {
    my ($seconds, $cond) = @_;
    my $until = time + $seconds;

    while (1) {
        my $value = $cond->();
        return $value if $value || time >= $until;
        sleep 0.01;
    }
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);
    $self->stop('QUIT', 5) if $self->{pid} && $self->{owner} == $$;
}


1;
