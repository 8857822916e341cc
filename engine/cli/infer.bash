# Bash completion of the infer command.

_infer()
{
    local words options
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

    COMPREPLY=()

    if [ "$COMP_CWORD" -eq 1 ]; then
        words="inspect run eval compare bench convert check --help --version"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
    fi

    [ "${COMP_WORDS[1]} $prev" = "convert -o" ] && prev=--output

    case $prev in
    --sort)
        mapfile -t COMPREPLY < <(compgen -W "time order" -- "$cur")
        return
        ;;
    --prune-kind)
        words="channels block unstructured"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
        ;;
    --quantize)
        mapfile -t COMPREPLY < <(compgen -W "static dynamic" -- "$cur")
        return
        ;;
    --observer)
        words="minmax histogram percentile entropy"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
        ;;
    --output-dir | -o)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --input-shape | --preprocess | --max-pixels | --max-drop | \
        --threads | -t | --batch | -b | --runs | -n | --warmup | --top | \
        -k | --prune)
        return
        ;;
    esac

    case ${COMP_WORDS[1]} in
    inspect)
        options="--json --input-shape"
        ;;
    run)
        options="--top --preprocess --labels --max-pixels --save-input
                 --input --output-dir --input-shape --threads --json"
        ;;
    eval)
        options="--per-class --logits --preprocess --labels --max-pixels
                 --input-shape --batch --threads --json"
        ;;
    compare)
        options="--html --preprocess --labels --max-pixels --input-shape
                 --threads --json"
        ;;
    bench)
        options="--threads --batch --runs --warmup --per-op --sort
                 --input-shape --json"
        ;;
    convert)
        options="--output --preprocess --labels --quantize --calibrate
                 --observer --data --max-drop --prune --prune-kind
                 --max-pixels --threads
                 --input-shape --winograd-budget --json"
        ;;
    check)
        options="--verbose --skips"
        ;;
    esac

    case $cur in
    -*)
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$cur")
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    esac
}

complete -o filenames -F _infer infer
