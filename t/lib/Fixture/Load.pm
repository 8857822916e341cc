package Fixture::Load;

# Load on a server while a test does something to it: a process of its own
# sends requests, each on a new connection, until it is told to finish, and
# then tells of every single one how it ended.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use Exporter qw(import);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer ();

our @EXPORT = qw(soak_seconds percentile outcomes seconds_of anonymous_kb
                 descriptors);


# How long a scenario lasts: `make soak` says it, `make test` has it short.
sub soak_seconds { return $ENV{SOAK_SECONDS} || 3 }


# Begins.  Options:
#     port     => where to
#     requests => [bytes, ...], in turn
#     clients  => so many at a time, or
#     rate     => so many a second, whatever the server does
#     leave    => share of the clients that leave after at most 0.2 s, some
#                 of them in the middle of their request
#     timeout  => seconds without an answer (30)
sub start {
    my ($class, %opt) = @_;

    pipe my $told, my $tell or die "pipe: $!\n";
    my $wait = Fixture::Infer::in_background(sub {
        close $tell;
        return _run($told, timeout => 30, leave => 0, %opt);
    });
    close $told;

    return bless { tell => $tell, wait => $wait }, $class;
}


# Ends: requests that are under way are waited for.  Returns one
# [code, begun, seconds, raw answer] for each; code is that of the status, or
# a word: refused, reset, empty, truncated, timeout, left.
sub finish {
    my ($self) = @_;

    close delete $self->{tell};

    return @{ $self->{wait}->() };
}


sub _run {
    my ($told, %opt) = @_;
    my ($going, $sent, %active, @done) = (1, 0);
    my $begin = time;

    while ($going || %active) {
        while ($going && _due(\%opt, $begin, $sent, scalar keys %active)) {
            my $request = $opt{requests}[$sent++ % @{ $opt{requests} }];
            my $x = _open(\%opt, $request);
            $x->{done} ? push @done, $x : ($active{ fileno $x->{sock} } = $x);
        }

        my ($read, $write) = ('', '');

        vec($read, fileno $told, 1) = 1 if $going;

        for my $fd (keys %active) {
            vec($read, $fd, 1) = 1;
            vec($write, $fd, 1) = 1 if length $active{$fd}{out};
        }

        select $read, $write, undef, 0.002;
        $going = 0 if $going && vec($read, fileno $told, 1);

        for my $fd (keys %active) {
            my $x = $active{$fd};

            _write($x) if vec($write, $fd, 1);
            _read($x) if vec($read, $fd, 1);
            _end($x, $x->{ends}) if !$x->{done} && time > $x->{until};
            next if !$x->{done};
            push @done, delete $active{$fd};
        }
    }

    return [map { [@$_{qw(code begun seconds in)}] } @done];
}


sub _due {
    my ($opt, $begin, $sent, $active) = @_;

    return $opt->{clients} ? $active < $opt->{clients}
                           : $sent < (time - $begin) * $opt->{rate};
}


sub _open {
    my ($opt, $request) = @_;
    my $x = { in => '', out => $request, begun => time, ends => 'timeout' };

    $x->{until} = $x->{begun} + $opt->{timeout};

    if (rand() < $opt->{leave}) {
        $x->{ends} = 'left';
        $x->{until} = $x->{begun} + rand 0.2;
        $x->{out} = substr $request, 0, rand length $request
            if rand() < 0.3;
    }

    $x->{sock} = eval { Fixture::Http::connect_to($opt->{port}) };
    _end($x, 'refused') if !$x->{sock};

    return $x;
}


sub _end {
    my ($x, $code) = @_;

    # Half of those who leave do it with a reset.
    setsockopt $x->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $code eq 'left' && rand() < 0.5;

    close delete $x->{sock} if $x->{sock};
    $x->{code} = $code;
    $x->{seconds} = time - $x->{begun};
    $x->{done} = 1;
}


sub _write {
    my ($x) = @_;
    my $n = syswrite $x->{sock}, $x->{out};

    if (defined $n) {
        substr $x->{out}, 0, $n, '';
    } elsif ($! != EAGAIN && $! != EINTR) {
        $x->{out} = '';    # its answer may be there
    }
}


sub _read {
    my ($x) = @_;
    my $n = sysread $x->{sock}, $x->{in}, 65536, length $x->{in};

    return if $n || (!defined $n && ($! == EAGAIN || $! == EINTR));
    return _end($x, 'reset') if !defined $n;

    my $res = Fixture::Http::parse($x->{in});

    _end($x, $x->{in} eq '' ? 'empty'
             : $res->{error} ? 'truncated' : $res->{code} // 'garbage');
}


# What finish() returned, counted: "200: 5, 503: 1".
sub outcomes {
    my %count;

    $count{ $_->[0] }++ for @_;

    return join ', ', map { "$_: $count{$_}" } sort keys %count;
}


# The seconds that answers with this code took.
sub seconds_of {
    my ($code, @all) = @_;

    return map { $_->[2] } grep { $_->[0] eq $code } @all;
}


# The smallest of some numbers that a share of them does not exceed.
sub percentile {
    my ($share, @x) = @_;
    my $at = int($share * @x);

    @x = sort { $a <=> $b } @x;

    return $x[$at < @x ? $at : -1] // 0;
}


# Kilobytes of memory that no file and no zone is behind.  Pages that a fork
# has not yet made two of count in both: which these are changes all the time.
sub anonymous_kb {
    my ($pid) = @_;

    my ($kb) = Fixture::Infer::slurp("/proc/$pid/smaps_rollup")
               =~ /^Anonymous:\s+(\d+)/m;

    return $kb;
}


sub descriptors { return scalar(() = glob "/proc/$_[0]/fd/*") }


1;
